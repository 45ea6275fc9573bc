/** The feed of events. The tables are not logged: they cost no WAL, and a crash of the server empties them, which readers are told of.
 *  `feed_head`: until when somebody watches, and the last line's number; its row's lock makes the order of lines that of commits. */
export const seventh = `
create unlogged table "{schema}".feed_head (
  one boolean primary key default true check (one), epoch bigint not null, n bigint not null, until timestamptz not null
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create unlogged table "{schema}".feed (
  epoch bigint not null, last bigint not null, at timestamptz not null, texts text not null, primary key (epoch, last)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
`;
