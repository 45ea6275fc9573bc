/** Figures over time. A row of `rates` is what a node reported of a queue and job in a minute, with the histograms of waits and runs; once the hour
 *  is pruned, that of all nodes is node 0's, and counted in `hours`. Rows of version 0.1.0 are of an instant, and have no histograms. */
export const ninth = `
alter table "{schema}".rates add column waits integer[], add column runs integer[];
alter table "{schema}".rates set (fillfactor = 70);
create unique index rates_of on "{schema}".rates (at, node, queue, job);
drop index "{schema}".rates_at;
create table "{schema}".hours (
  at timestamptz not null, queue text not null, job text not null,
  completed bigint not null, failed bigint not null, canceled bigint not null, retried bigint not null,
  wait_ms double precision not null, run_ms double precision not null, waits integer[], runs integer[],
  primary key (at, queue, job));
create function "{schema}".added(a integer[], b integer[]) returns integer[]
language plpgsql immutable parallel safe as $body$
declare
  c integer[] := coalesce(b, '{}');
begin
  if a is null then return c; end if;
  if cardinality(a) < cardinality(c) then c := a; a := b; end if;
  for i in 1..cardinality(c) loop a[i] := a[i] + c[i]; end loop;
  return a;
end $body$;
create aggregate "{schema}".summed(integer[]) (
  sfunc = "{schema}".added, stype = integer[], initcond = '{}', combinefunc = "{schema}".added, parallel = safe);
`;
