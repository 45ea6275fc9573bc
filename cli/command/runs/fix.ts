import { mend, type Fix } from "../../../sdk/client/mend.ts";
import { present } from "../../../sdk/port/option.ts";
import { BadUsage } from "../../error.ts";
import type { Given } from "../../given.ts";
import { deed } from "../act.ts";

/** `tasker runs fix`: mends journals of runs that wait, such as those that are parked because their code has changed. */
export const fix = deed({
  verb: "fix",
  name: "runs fix",
  past: "mended",
  about: "Let parked runs go on, by id or by filter: with their journals mended, or as they are",
  flags: [
    { flag: "--rename-step <old=new>", about: "The code calls a step or sleep by another name now" },
    { flag: "--skip <step>", about: 'The code does not ask for it any more; "charge#2" is the second call of charge' },
    { flag: "--from <step>", about: "Do it again, with all that came after it" },
    {
      flag: "--pin [version]",
      about: "Only nodes with this version go on with it (default: the one that wrote its journal)",
    },
    { flag: "--unpin", about: "All nodes may go on with it again" },
  ],
  examples: [
    "tasker runs fix run_2n9c --rename-step charge=pay",
    "tasker runs fix --job order --reason parked --skip reserve --yes",
    "tasker runs fix run_2n9c --pin",
    "tasker runs fix run_2n9c",
  ],
  does: (given) => {
    const wanted = fixOf(given);
    return (to, ids) => mend(to, ids, wanted);
  },
});

function fixOf(given: Given): Fix {
  const renamed = given.text("rename-step");
  const [from, to, ...more] = renamed?.split("=") ?? [];
  if (renamed !== null && (!from || !to || more.length > 0))
    throw new BadUsage(`--rename-step: "${renamed}" is not two names; write it like --rename-step charge=pay`);
  if (given.text("pin")?.startsWith("run_"))
    throw new BadUsage(`--pin: "${given.text("pin")!}" is a run; write its id before --pin`);
  const wanted = present({
    renameStep: renamed === null ? null : { from: from!, to: to! },
    skip: given.text("skip"),
    from: given.text("from"),
    pin: given.on("unpin") ? false : given.on("pin") ? given.text("pin") || true : null,
  });
  if (Object.keys(wanted).length > 1 || (given.on("pin") && given.on("unpin")))
    throw new BadUsage("--rename-step, --skip, --from, --pin and --unpin do one thing at a time; give one of them");
  return wanted;
}
