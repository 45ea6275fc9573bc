// Prints how many tests passed and failed: `count.mjs <vitest's JSON report> <vitest's exit code>`. A file that could not be run counts
// as one that failed, and so does an exit code that no failure explains.
import { readFileSync } from "node:fs";

const [file, code] = process.argv.slice(2);
let passed = 0;
let failed = 0;
try {
  const report = JSON.parse(readFileSync(file, "utf8"));
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some(isFailed),
  );
  passed = report.numPassedTests;
  failed = report.numFailedTests + broken.length;
} catch (error) {
  process.stderr.write(`no report: ${error.message}\n`);
}
if (failed === 0 && code !== "0") failed = 1;
process.stdout.write(`${passed} ${failed}`);

function isFailed({ status }) {
  return status === "failed";
}
