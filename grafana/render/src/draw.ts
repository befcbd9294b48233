// Asks Prometheus, has the page draw, takes the pictures. Prints what was drawn as JSON.

import { readFileSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

import { heightOf, WIDTH } from './grid';
import type { Answer, DashboardJob, Drawn, Job, Page, Panel, Query, Series } from './job';

const HOME = 'http://localhost/';
const EMPTY = '<!doctype html><html lang="en"><body style="margin:0"><div id="root"></div></body></html>';

interface Reply {
  status: string;
  error?: string;
  data?: { result: Array<{ metric: Record<string, string>; value?: [number, string]; values?: Array<[number, string]> }> };
}

async function ask(job: Job, query: Query): Promise<Answer> {
  const parameters: Record<string, string> = query.instant
    ? { query: query.expr, time: String(job.end) }
    : { query: query.expr, start: String(job.start), end: String(job.end), step: String(job.step) };
  const address = `${job.prometheus}/api/v1/${query.instant ? 'query' : 'query_range'}`;
  let reply: Reply;
  try {
    reply = (await (await fetch(address, { method: 'POST', body: new URLSearchParams(parameters) })).json()) as Reply;
  } catch (error) {
    throw new Error(`${job.prometheus} does not answer as Prometheus does: ${String((error as Error).cause ?? error)}`);
  }
  if (reply.status !== 'success' || !reply.data) {
    throw new Error(`Prometheus refuses ${query.expr}: ${reply.error ?? 'no reason given'}`);
  }
  const series: Series[] = reply.data.result.map((one) => ({
    metric: one.metric,
    values: one.values ?? (one.value ? [one.value] : []),
  }));
  return { ...query, series };
}

async function draw(job: Job, one: DashboardJob, browser: Browser): Promise<Drawn[]> {
  const answers: Answer[] = [];
  for (const query of one.queries.filter((query) => query.panel_id > 0)) {
    answers.push(await ask(job, query));
  }
  // As high as the dashboard: what scrolls inside is not painted outside of the window.
  const panels = (one.dashboard.panels ?? []) as unknown as Panel[];
  const height = heightOf(panels);
  const page = await browser.newPage({ viewport: { width: WIDTH, height } });
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  // An origin of its own, which Grafana's settings in the browser's storage want; nothing else is fetched.
  await page.route('**', (route) =>
    route.request().url() === HOME ? route.fulfill({ contentType: 'text/html', body: EMPTY }) : route.abort(),
  );
  await page.goto(HOME);
  await page.addStyleTag({ path: `${job.page}.css` });
  await page.addScriptTag({ path: `${job.page}.js` });
  if (complaints.length > 0) {
    throw new Error(`the page does not start: ${complaints.join('; ')}`);
  }
  const told: Page = { dashboard: one.dashboard, answers, start: job.start, end: job.end, step: job.step };
  const drawn = await page.evaluate((told) => (globalThis as any).drawDashboard(told) as Promise<Drawn[]>, told);
  await page.locator('#root').screenshot({ animations: 'disabled', path: `${job.out}/${one.file.replace(/\.json$/, '.png')}` });
  await page.close();
  if (complaints.length > 0) {
    throw new Error(`the page of ${one.file} complained: ${complaints.join('; ')}`);
  }
  return drawn;
}

async function main(): Promise<void> {
  const job = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Job;
  const browser = await chromium.launch({
    executablePath: job.chromium,
    // Playwright gives it a fresh --user-data-dir, and removes that afterwards.
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
  try {
    const results: Record<string, Drawn[]> = {};
    for (const one of job.dashboards) {
      results[one.file] = await draw(job, one, browser);
    }
    process.stdout.write(`${JSON.stringify(results)}\n`);
  } finally {
    await browser.close();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
