create table if not exists posts (id bigint generated always as identity primary key, publish_at timestamptz not null, published boolean not null default false);
create table if not exists sessions (id bigint generated always as identity primary key, expires_at timestamptz not null);
create table if not exists visits (at timestamptz not null);
create table if not exists visits_hourly (since timestamptz primary key, until timestamptz not null, visits bigint not null);
create index if not exists sessions_expire on sessions (expires_at);
create index if not exists visits_at on visits (at);
