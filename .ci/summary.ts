/** Prints `N passed, N failed, N skipped` from vitest's JSON report; fails where the report is missing or names a failure. */
import { readFileSync } from "node:fs";

const report = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  numFailedTestSuites: number;
};
// A file that could not be loaded has no tests of its own to fail.
const failed = Math.max(
  report.numFailedTests,
  report.numFailedTestSuites > 0 && report.numFailedTests === 0 ? report.numFailedTestSuites : 0,
);
console.log(`${report.numPassedTests} passed, ${failed} failed, ${report.numPendingTests + report.numTodoTests} skipped`);
process.exit(failed > 0 || report.numPassedTests === 0 ? 1 : 0);
