/** Which nodes sleep: they hold nothing, and ask for nothing before something falls due or they are told. */
export const fourth = `
alter table "{schema}".nodes add column asleep boolean not null default false;
`;
