/** Measuring CPU time, for the benchmarks. */

/** Median CPU milliseconds (all threads of the process) of `run`, over `times` runs after one to warm up. */
export function cpuMillis(run: () => unknown, times: number): number {
  run();
  const samples = Array.from({ length: times }, () => {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return samples.sort((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
}

/** Milliseconds with three significant digits. */
export const millis = (value: number): string => `${Number(value.toPrecision(3))} ms`;

/** Prints rows under a heading, columns aligned; the first column to the left, the others to the right. */
export function printTable(heading: string, rows: readonly (readonly string[])[]): void {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  console.log(`\n${heading}`);
  for (const row of rows) {
    const cells = row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    );
    console.log(`  ${cells.join('   ')}`);
  }
}
