'use strict';

/** Plays the suite in headless Chromium: the system's browser, driven by playwright-core over its debugging protocol. */
const { execFileSync } = require('child_process');

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
// A test machine: no graphics card, perhaps root, and nothing that phones home.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/** The path of Chromium: $CHROMIUM, or the first of the usual names. */
function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of NAMES) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch (error) {
      // not that one
    }
  }
  throw new Error('Chromium is missing: `make test` installs it, or: apt-get install chromium (or set CHROMIUM to its path)');
}

/** Opens the page of the runner's control server, which loads clients and suites, and plays there. */
async function run(plays, report) {
  const { chromium } = require('playwright-core'); // here, so that Node's part of the suite does not need it
  // without a profile directory of ours Playwright makes a new empty one, and removes it
  const browser = await chromium.launch({ executablePath: executable(), headless: true, args: FLAGS });
  try {
    const page = await browser.newPage();
    const broken = new Promise((resolve, reject) => {
      page.on('pageerror', (error) => {
        // SockJS 0.3 of Primus 2.4 throws this when the answer for a client comes that has ended
        if (plays[0].kind === 'primus24' && error.message === 'INVALID_STATE_ERR') return;
        reject(new Error(`uncaught in the page: ${error.stack || error}`));
      });
      page.on('crash', () => reject(new Error('the page crashed')));
    });
    await page.exposeFunction('interopReport', report);
    await page.goto(plays[0].control);
    const played = page.evaluate((given) => InteropHarness.run(given.map((one) => ({
      ...one,
      clients: Object.fromEntries(Object.entries(one.clients).map(([name, id]) => [name, InteropClients[id]])),
      others: one.others.map((other) => ({ ...other, Client: InteropClients[other.Client] })),
      fetch: (...words) => fetch(...words)
    })), window.interopReport), plays);
    await Promise.race([played, broken]);
  } finally {
    await browser.close();
  }
}

module.exports = { run, executable };
