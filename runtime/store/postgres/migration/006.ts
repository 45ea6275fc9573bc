/** Workflows: what a run waits for, journals of live runs (finished ones have theirs in history), what is sent to runs, and which runs made
 *  which. New columns are null for all other runs, so that these take no room.
 *  `inbox`: how much was ever sent to the run; `alarm`: that number as of the last that wakes it at once; `wants`: at which it is woken anyway. */
export const sixth = `
alter table "{schema}".runs add column waits smallint, add column inbox integer, add column alarm integer, add column wants integer;
alter table "{schema}".history add column steps text;
create table "{schema}".steps (
  run bigint not null, n integer not null, at bigint not null, kind text not null, key text not null,
  value text, meta text, data text, runs bigint[], primary key (run, n)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create table "{schema}".mail (
  run bigint not null, id bigint not null generated always as identity, name text not null, at bigint not null, value text, meta text, data text,
  urgent boolean not null, delivered boolean not null, primary key (run, id)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index mail_new on "{schema}".mail (id) where not delivered;
create table "{schema}".children (run bigint primary key, parent bigint not null, key text not null)
  with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index children_parent on "{schema}".children (parent);
`;
