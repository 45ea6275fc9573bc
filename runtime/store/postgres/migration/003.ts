/** Which version of the code a node ran, for the runs that it had; since when it has had its jobs. */
export const third = `
alter table "{schema}".names add column version text;
alter table "{schema}".nodes add column jobs_at timestamptz;
`;
