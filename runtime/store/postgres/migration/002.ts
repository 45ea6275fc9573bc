/** Schedules. Their instants are epoch ms, for nodes compute them; `next_ms` is null where none comes (paused, ended, taken out of
 *  the code). A declaration is one version of one job's schedules; numbers are in the order in which they were first seen. */
export const second = `
create table "{schema}".schedules (
  job text collate "C" not null, key text collate "C" not null, rev integer not null default 1,
  next_ms bigint, fresh boolean not null, paused boolean not null default false,
  declared integer, removed boolean not null default false,
  overlap smallint not null check (overlap in (0, 1, 2)),
  last_ms bigint, last_run bigint, count bigint not null default 0, live bigint[] not null default '{}',
  rule text not null, timing text not null, input text not null, meta text,
  queue text, priority smallint check (priority between 0 and 9), tags text[] not null,
  created_at timestamptz not null, updated_at timestamptz not null,
  primary key (job, key),
  check (next_ms is null or not (paused or removed)), check (next_ms is not null or not fresh)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index schedules_due on "{schema}".schedules (next_ms) where next_ms is not null;
create index schedules_declared on "{schema}".schedules (job) where declared is not null;
create table "{schema}".declared (
  id integer primary key generated always as identity,
  job text not null, hash text not null, size integer not null, seen_at timestamptz not null, unique (job, hash));
alter table "{schema}".nodes add column declared integer[];
`;
