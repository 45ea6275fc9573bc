import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DurationText } from "../sdk/port/duration.ts";
import { InvalidInput } from "../sdk/port/error.ts";
import type { Given } from "./given.ts";
import { BadUsage, FileBroken } from "./error.ts";
import type { Config } from "../sdk/client/config.ts";
import type { Tokens } from "../sdk/client/token.ts";
import { databaseIn } from "../sdk/client/source.ts";
import { load } from "./module.ts";
import { hint } from "../sdk/port/near.ts";
import { settings as table, type SettingKey, type Value } from "../sdk/setting.ts";
import { flagName, options, type Option } from "./option.ts";
import { redact } from "./view/redact.ts";
import { saidOf } from "../sdk/port/text.ts";

/** A setting of each key, read. */
type Read = { readonly [K in Exclude<SettingKey, `${string}.${string}` | Nameless>]: Value<K> } & {
  readonly [K in Nameless]: Value<K> | null; // no database · pretty on a terminal and for `dev`, else json · host:pid · found out
};
type Nameless = "databaseUrl" | "logFormat" | "name" | "prepare";

/** The configuration of one command: defaults, the config file, the environment and the flags, later ones above. */
export interface Settings extends Read {
  readonly keep: { readonly completed: DurationText; readonly other: DurationText };
  /** `dir` is whole; null: there is none. */
  readonly inbox: { readonly [K in keyof NonNullable<Config["inbox"]>]-?: Value<`inbox.${K}`> } | null;
  /** `listen`, `tokens`: null where nothing says so. */
  readonly http: {
    readonly listen: string | null;
    readonly tokens: Tokens | null;
    readonly hosts: readonly string[];
    readonly cors: readonly string[];
  };
  /** The folder that `jobs` is relative to: the config file's if the key comes from there, else the current one. */
  readonly base: string;
  /** The config file, if there is one. */
  readonly file: string | null;
  /** Where a key's value comes from, for messages: `--slots`, `TASKER_SLOTS`, the config file; null: the default. */
  source(key: string): string | null;
}

/** Names of the config file, the first that is there counts. */
export const names = ["ts", "mts", "js", "mjs"].map((end) => `tasker.config.${end}`);

/** Reads the configuration.
 *  @throws {BadUsage} naming flag, variable or key, for an invalid value or an unknown key.
 *  @throws {FileBroken} if the config file can't be loaded. */
export async function settings(
  given: Given,
  env: NodeJS.ProcessEnv = process.env,
  cwd: string = process.cwd(),
): Promise<Settings> {
  const file = find(given.text("config"), cwd);
  const content = file ? flat(await exported(file), file) : {};
  const values = new Map<string, { readonly value: unknown; readonly source: string | null }>();
  for (const option of options) values.set(option.key, pick(option, { given, env, content, file }));
  const value = (key: SettingKey): unknown => values.get(key)?.value ?? table[key].default;
  const source = (key: string): string | null => values.get(key)?.source ?? null;
  const inner = (group: string): Record<string, unknown> =>
    Object.fromEntries(
      options.flatMap(({ key }) => (key.startsWith(`${group}.`) ? [[key.slice(group.length + 1), value(key)]] : [])),
    );
  const base = (key: SettingKey): string => (file && source(key) === file ? dirname(file) : cwd);
  const inbox = inner("inbox");
  return {
    ...Object.fromEntries(options.filter(({ key }) => !key.includes(".")).map(({ key }) => [key, value(key)])),
    keep: inner("keep"),
    inbox: typeof inbox.dir === "string" ? { ...inbox, dir: resolve(base("inbox.dir"), inbox.dir) } : null,
    http: inner("http"),
    base: base("jobs"),
    file,
    source,
  } as Settings; // each value was read by its option's kind
}

/** What `read` makes of the settings, or what is wrong with the config file or the environment.
 *  @throws {BadUsage} for a flag */
export async function tried<T>(read: () => Promise<T>): Promise<T | BadUsage | FileBroken> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof FileBroken || (error instanceof BadUsage && !error.message.startsWith("--"))) return error;
    throw error;
  }
}

interface Sources {
  readonly given: Given;
  readonly env: NodeJS.ProcessEnv;
  readonly content: Readonly<Record<string, unknown>>;
  readonly file: string | null;
}

function pick(option: Option, { given, env, content, file }: Sources): { value: unknown; source: string | null } {
  const name = flagName(option);
  const flag = given.text(name);
  if (flag !== null) return { value: read(option, flag, `--${name}`), source: `--${name}` };
  const variable = named(option, env);
  if (variable) return { value: read(option, variable.text, variable.source), source: variable.source };
  const own = content[option.key];
  if (own !== undefined && own !== null) return { value: read(option, own, `${option.key} in ${file}`), source: file };
  return { value: null, source: null };
}

const tokenFile = "TASKER_TOKENS_FILE";

/** What the environment says of a key, and which variable does. */
function named({ key, variable }: Option, env: NodeJS.ProcessEnv): { text: string; source: string } | null {
  if (key === "http.tokens" && !env[variable] && env[tokenFile])
    return { text: `@${env[tokenFile]}`, source: tokenFile };
  if (key !== "databaseUrl") return env[variable] ? { text: env[variable], source: variable } : null;
  try {
    return databaseIn(env);
  } catch (error) {
    throw error instanceof InvalidInput ? new BadUsage(error.message, { cause: error }) : error;
  }
}

function read(option: Option, raw: unknown, source: string): unknown {
  const value = parsed(source, () => option.kind.read(raw));
  if (value !== undefined) return value;
  const shown = typeof raw === "string" ? raw : (JSON.stringify(raw) ?? typeof raw);
  throw new BadUsage(`${source}: "${redact(shown).slice(0, 100)}" is not ${option.kind.wants}`);
}

function find(given: string | null, cwd: string): string | null {
  if (given === null) return names.map((name) => resolve(cwd, name)).find((path) => existsSync(path)) ?? null;
  const path = resolve(cwd, given);
  if (!existsSync(path)) throw new BadUsage(`--config: "${given}" does not exist; give the path of a config file`);
  return path;
}

async function exported(file: string): Promise<object> {
  const module = await load(file).catch((cause: unknown) => {
    throw new FileBroken(`config file "${file}" can't be loaded: ${saidOf(cause)}`, { cause });
  });
  const config = module.default;
  if (typeof config === "object" && config !== null && !Array.isArray(config)) return config;
  throw new BadUsage(`config file "${file}" has no default export; write: export default defineConfig({ … })`);
}

/** The file's keys by dotted path, each checked against the table. */
function flat(config: object, file: string): Readonly<Record<string, unknown>> {
  const keys: readonly string[] = options.map((option) => option.key);
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    const inside = keys.some((known) => known.startsWith(`${key}.`)) && typeof value === "object" && value !== null;
    const parts = inside
      ? Object.entries(value as object).map(([sub, each]) => [`${key}.${sub}`, each] as const)
      : [[key, value] as const];
    for (const [path, each] of parts) {
      if (!keys.includes(path))
        throw new BadUsage(`"${path}" in ${file} is not a key of the configuration${hint(path, keys)}`);
      result[path] = each;
    }
  }
  return result;
}

/** For a value that a command parses itself: turns the complaint into one about the command line. */
export function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof InvalidInput) throw new BadUsage(`${what}: ${error.message}`, { cause: error });
    throw error;
  }
}
