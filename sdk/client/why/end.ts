/** Why a run ended as it did. */
import { formatId } from "../../port/id.ts";
import type { Final } from "../../port/status.ts";
import type { Known, Said } from "./because.ts";
import { ago, errorText, quoted, span } from "./word.ts";

export function ended(known: Known, status: Final): Said {
  const { reason, finishedAt, attempt: attempts, error, note } = known.run;
  return {
    text: texts[status](known),
    because: { code: status, reason, finishedAt, attempts, error, note },
  };
}

const texts: Readonly<Record<Final, (known: Known) => string>> = { completed, failed, canceled };

function when({ run, at }: Known): string {
  return run.finishedAt ? ` ${ago(at, run.finishedAt)}` : "";
}

function completed(known: Known): string {
  const { startedAt, finishedAt, attempt, reason, note, node } = known.run;
  if (reason === "skipped") return `its handler skipped it${when(known)}${note === null ? "" : `: ${note}`}`;
  const which = attempt > 1 ? `with its attempt ${attempt}, ` : "";
  const took = startedAt && finishedAt ? `, in ${span(startedAt, finishedAt)}` : "";
  return `it completed${when(known)}, ${which}${node === null ? "" : `on node ${quoted(node)}`}${took}`;
}

function failed(known: Known): string {
  const { id, reason, error, attempt } = known.run;
  const said = error ? `: ${errorText(error)}` : "";
  const again = `; try it again with: tasker retry ${formatId(id)}`;
  if (reason === "expired")
    return `it expired${when(known)}${said}; run it all the same with: tasker retry ${formatId(id)}`;
  const how =
    reason === "timeout" ? "took too long" : reason === "crashed" ? "crashed once too often" : "failed for good";
  const which = attempt > 1 ? `its attempt ${attempt}` : "its only attempt";
  return `${which} ${how}${when(known)}${said}${again}`;
}

function canceled(known: Known): string {
  const { id, reason, key, options } = known.run;
  const back = `; make it pending again with: tasker resume ${formatId(id)}`;
  if (reason === "superseded")
    return `it was canceled${when(known)}, for a newer run took its place${key === null ? "" : ` (key ${quoted(key)})`}`;
  if (reason !== "parent") return `it was canceled${when(known)}${back}`;
  const parent = options?.parent ? ` ${formatId(options.parent.run)}` : "";
  return `it was canceled${when(known)}, with the run${parent} that made it${back}`;
}
