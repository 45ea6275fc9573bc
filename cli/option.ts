import { settings, type Kind, type Setting, type SettingKey } from "../sdk/setting.ts";

/** A setting as the command line has it. Help, merging and the table in docs/configuration.md are all made from these. */
export interface Option {
  /** Dotted path in `tasker.config.ts`. */
  readonly key: SettingKey;
  /** As in help: `--slots <n>`. */
  readonly flag: string;
  readonly variable: string;
  /** As in the docs; null: none. */
  readonly default: string | null;
  readonly about: string;
  readonly for: Setting["for"];
  readonly kind: Kind;
}

/** Every setting, in the order of the docs. */
export const options: readonly Option[] = Object.entries<Setting>(settings).map(([key, setting]) => {
  const { kind, value = kind.value, usual, default: plain, about } = setting;
  const words = key.replace(/\.|(?=[A-Z])/g, "-").toLowerCase();
  return {
    key: key as SettingKey,
    flag: `--${setting.flag ?? words} ${value}`,
    variable: setting.variable ?? `TASKER_${words.replaceAll("-", "_").toUpperCase()}`,
    default: usual ?? (typeof plain === "object" && !Array.isArray(plain) ? null : String(plain) || null),
    ...{ about, for: setting.for, kind },
  };
});

/** The flag's name alone: `database-url`. */
export function flagName(option: { readonly flag: string }): string {
  return /--([a-z-]+)/.exec(option.flag)![1]!;
}
