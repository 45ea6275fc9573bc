/** How many of a run's attempts count towards no limit of retries. A function records the attempt of a lease that ran out, and answers 1, so
 *  that a claim which takes over no such lease pays nothing for it. */
export const fifth = `
alter table "{schema}".runs add column unspent integer not null default 0;
alter table "{schema}".history add column unspent integer not null default 0;
create function "{schema}".crashed(run bigint, token integer, n integer, lane integer, node integer, at timestamptz) returns integer
language sql as $body$
  insert into "{schema}".attempts (run, token, n, lane, node, ended_at, outcome, retry_at)
  values (run, token, n, lane, node, at, 'crashed', at) returning 1
$body$;
`;
