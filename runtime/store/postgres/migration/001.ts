/** The first tables. Hot columns (written by each claim) are in no index and no predicate, and
 *  fillfactor 50 leaves room beside each row, so a claim is a HOT update. History is partitioned by outcome, then by day. */
export const first = `
create sequence "{schema}".run_id as bigint increment by 1024 start with 1;
create table "{schema}".config (one boolean primary key default true check (one), rev bigint not null default 1);
insert into "{schema}".config default values;
create table "{schema}".queues (name text primary key, paused boolean not null default false, paused_at timestamptz);
create table "{schema}".lanes (
  id integer primary key generated always as identity,
  queue text not null, job text not null, priority smallint not null check (priority between 0 and 9),
  unique (queue, job, priority));
create table "{schema}".runs (
  id bigint not null,
  due_at timestamptz not null,
  ready_at timestamptz not null,
  created_at timestamptz not null,
  lease_until timestamptz,
  started_at timestamptz,
  expires_at timestamptz,
  replay_of bigint,
  lane integer not null,
  token integer not null default 0,
  node integer,
  holder integer,
  attempt integer not null default 0,
  state smallint not null default 0 check (state in (0, 1)),
  crashes smallint not null default 0,
  ask smallint,
  watched boolean,
  input text not null,
  meta text,
  tags text[],
  key text,
  options text,
  progress text,
  check ((state = 1) = (holder is not null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create unique index runs_id on "{schema}".runs (id);
create index runs_ready on "{schema}".runs (lane, ready_at, id) where state = 0;
create index runs_held on "{schema}".runs (holder) where state = 1;
create index runs_expiry on "{schema}".runs (expires_at) where expires_at is not null;
create table "{schema}".history (
  id bigint not null,
  due_at timestamptz not null,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz not null,
  replay_of bigint,
  lane integer not null,
  token integer not null,
  node integer,
  attempt integer not null,
  status smallint not null check (status in (0, 1, 2)),
  crashes smallint not null,
  reason text,
  input text not null,
  meta text,
  tags text[],
  key text,
  options text,
  progress text,
  result text,
  result_meta text,
  error text,
  note text
) partition by list (status);
create table "{schema}".history_completed partition of "{schema}".history for values in (0) partition by range (finished_at);
create table "{schema}".history_other partition of "{schema}".history for values in (1, 2) partition by range (finished_at);
create table "{schema}".history_completed_default partition of "{schema}".history_completed default;
create table "{schema}".history_other_default partition of "{schema}".history_other default;
create index history_id on "{schema}".history (id);
create index history_lane on "{schema}".history (lane, id);
create table "{schema}".keys (
  job text not null, key text not null, run bigint not null, hash text not null, keep_ms double precision not null,
  rev integer not null default 0, until timestamptz not null, primary key (job, key));
create index keys_until on "{schema}".keys (until);
create table "{schema}".jobs (
  id text primary key, description text, queue text not null,
  priority smallint not null, schema text, tags text[], ttl_ms double precision, hooks smallint not null, seen_at timestamptz not null);
create table "{schema}".nodes (
  id integer primary key generated always as identity,
  name text not null, app text not null, version text not null,
  started_at timestamptz not null, seen_at timestamptz not null, lease_until timestamptz not null,
  draining boolean not null default false, slots integer not null default 0, busy integer not null default 0,
  heap integer not null default 0, jobs text[] not null default '{}'
) with (fillfactor = 50);
create table "{schema}".names (id integer primary key, name text not null, at timestamptz not null); -- outlives its node
create table "{schema}".commands (
  id bigint primary key generated always as identity, node integer not null, run bigint not null, token integer not null,
  at timestamptz not null default clock_timestamp());
create index commands_node on "{schema}".commands (node);
create table "{schema}".attempts (
  id bigint primary key generated always as identity,
  run bigint not null, token integer not null, n integer not null, lane integer not null, node integer,
  started_at timestamptz, ended_at timestamptz not null, outcome text not null, error text, retry_at timestamptz);
create index attempts_run on "{schema}".attempts (run, token);
create table "{schema}".logs (
  id bigint primary key generated always as identity,
  run bigint not null, attempt integer not null, at timestamptz not null, level text not null, message text not null, data text);
create index logs_run on "{schema}".logs (run, id);
create table "{schema}".rates (
  at timestamptz not null, node integer not null, queue text not null, job text not null,
  completed integer not null, failed integer not null, canceled integer not null, retried integer not null,
  wait_ms double precision not null, run_ms double precision not null);
create index rates_at on "{schema}".rates (at);

-- A function that makes one partition of the coming days, or drops one that is over; answers how many runs it dropped, null where there was
-- nothing to do. One a call, for its locks keep results waiting until the transaction ends: so nothing slow comes after the first of them.
-- It gives up rather than wait: another node may be at it, or a reader may hold the table.
create function "{schema}".make_partitions(ahead integer, completed_ms double precision, other_ms double precision, at timestamptz)
returns bigint
language plpgsql as $body$
declare
  kind text; keep double precision; day date; part text; n bigint;
  today date := (at at time zone 'utc')::date;
begin
  if not pg_try_advisory_xact_lock(hashtext('tasker:{schema}:partitions')) then return null; end if;
  perform set_config('lock_timeout', '20ms', true);
  foreach kind in array array['completed', 'other'] loop
    keep := case kind when 'completed' then completed_ms else other_ms end;
    for day in select today + i from generate_series(0, ahead) i loop
      part := format('history_%s_%s', kind, to_char(day, 'YYYYMMDD'));
      continue when to_regclass(format('%I.%I', '{schema}', part)) is not null;
      for try in 1..5 loop
        begin
          execute format('create table %I.%I partition of %I.%I for values from (%L) to (%L)', '{schema}', part, '{schema}', 'history_' || kind,
            day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
          return 0;
        exception
          when check_violation then exit; -- the default partition has rows of that day
          when lock_not_available then
            if try = 5 then return null; end if;
            perform pg_sleep(0.02); -- those who waited behind go first
        end;
      end loop;
    end loop;
    for part, day, n in
      select c.relname, to_date(right(c.relname, 8), 'YYYYMMDD'), case when pg_relation_size(c.oid) > 16000000 then nullif(greatest(c.reltuples, 0), 0) end
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = format('%I.%I', '{schema}', 'history_' || kind)::regclass and c.relname ~ '_[0-9]{8}$' order by 1
    loop
      continue when keep > 3e12 or (day + 1)::timestamp at time zone 'utc' > at - keep * interval '1 ms';
      if n is null then execute format('select count(*) from %I.%I', '{schema}', part) into n; end if; -- of large ones the estimate will do
      for try in 1..5 loop
        begin
          execute format('drop table %I.%I', '{schema}', part);
          return n;
        exception when lock_not_available then
          if try = 5 then return null; end if;
          perform pg_sleep(0.02);
        end;
      end loop;
    end loop;
  end loop;
  return null;
end $body$;

do $$ begin while "{schema}".make_partitions(7, 1e15, 1e15, clock_timestamp()) is not null loop end loop; end $$;
`;
