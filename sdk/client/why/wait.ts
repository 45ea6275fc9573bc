/** Why a workflow waits. */
import { formatId } from "../../port/id.ts";
import { isFinal } from "../../port/status.ts";
import type { Stage } from "../timeline.ts";
import type { Known, Said } from "./because.ts";
import { errorText, later, listed, quoted, someOf } from "./word.ts";

export function waiting(known: Known): Said {
  switch (known.run.reason) {
    case "parked":
      return parked(known);
    case "signal":
      return signal(known);
    case "child":
      return child(known);
    default:
      return sleep(known);
  }
}

/** The stage that ends first. */
function earliest(stages: readonly Stage[]): Stage | undefined {
  const timed = stages.filter(({ until }) => until !== null);
  return timed.sort((a, b) => a.until!.getTime() - b.until!.getTime())[0];
}

function sleep({ at, run, open }: Known): Said {
  const until = run.dueAt;
  const stage = earliest(open);
  if (stage?.kind === "step") {
    const { name, error } = stage;
    const after = error ? `, after this error: ${errorText(error)}` : "";
    return {
      text: `its step ${quoted(name)} failed and is tried again ${later(at, until)}${after}`,
      because: { code: "step", until, name, error },
    };
  }
  const name = stage?.name ?? null;
  const which = name === null || /^sleep(#\d+)?$/.test(name) ? "" : ` (${quoted(name)})`;
  return { text: `it sleeps${which} and wakes ${later(at, until)}`, because: { code: "sleep", until, name } };
}

function signal({ at, run, open }: Known): Said {
  const waits = open.filter(({ kind }) => kind === "wait");
  const all = [...new Set(waits.map(({ name }) => name.replace(/#\d+$/, "")))];
  const names = all.filter((name) => !name.startsWith("token:")); // what comes then is a secret
  const token = names.length < all.length;
  const what = [
    ...(names.length > 0 ? [`signal ${listed(names.map(quoted), "or")}`] : []),
    ...(token ? ["the answer to a token"] : []),
  ];
  const end = earliest(open)?.until ?? null;
  const until = end ? `, at most until ${end.toISOString()} (${later(at, end).split(",", 1)[0]})` : "";
  const next = [
    ...(names.length > 0 ? [`tasker signal ${formatId(run.id)} ${names[0]}`] : []),
    ...(token ? ["tasker complete TOKEN"] : []),
  ];
  return {
    text: `it waits for ${listed(what, "or") || "a signal"}${until}; send it with: ${next.join(", or ") || `tasker signal ${formatId(run.id)} NAME`}`,
    because: { code: "signal", names, token, until: end },
  };
}

function child({ open }: Known): Said {
  const made = open.filter(({ kind }) => kind === "child").flatMap(({ runs }) => runs);
  const left = made.filter(({ status }) => status === null || !isFinal(status));
  const runs = left.slice(0, 20).map(({ id, status }) => ({ id, status }));
  const shown = left.map(({ id, status }) => (status === null ? id : `${id} (${status})`));
  const [count, ended] = [made.length, made.length - left.length];
  const which = `${left.length.toLocaleString("en-US")} of the ${count.toLocaleString("en-US")} runs that it made`;
  const next = left[0] ? `; look into one with: tasker why ${left[0].id}` : "";
  return {
    text:
      count === 1
        ? `it waits for a run that it made, ${shown[0] ?? made[0]!.id}${next}`
        : `it waits for ${which}: ${someOf(shown)}${next}`,
    because: { code: "child", runs, ended, count },
  };
}

function parked({ run, latest }: Known): Said {
  const error = latest?.outcome === "parked" ? latest.error : null;
  const fix = `its code is not the code that wrote its journal; mend it with: tasker runs fix ${formatId(run.id)}`;
  const how = "[--rename-step old=new | --skip STEP | --from STEP | --pin VERSION]"; // the error ends with the command
  return { text: `it is parked: ${error?.message ?? fix} ${how}`, because: { code: "parked", error } };
}
