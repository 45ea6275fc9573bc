/** What tells why a run has not started: which node had a job last, how many attempts of it may fail, and the limits of queues on each node. */
export const eighth = `
alter table "{schema}".jobs add column node integer, add column attempts integer;
alter table "{schema}".nodes add column limits text;
`;
