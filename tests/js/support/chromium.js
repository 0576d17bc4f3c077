'use strict';

// A real browser: Chromium is told which page to open; the page reports what it saw.
const assert = require('node:assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { spawn, spawnSync } = require('child_process');

const NAMES = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'].filter(Boolean);
// Without a network, Chromium's own errands only keep it busy.
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic',
  '--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-default-apps'];
const PAGE_MS = 30000;
const ATTEMPTS = 3;
// What a test with one visit may take.
const LIMIT_MS = (ATTEMPTS + 1) * PAGE_MS;

function chromium() {
  const found = NAMES.find((name) => !spawnSync(name, ['--version']).error);
  assert.ok(found, `no Chromium: none of ${NAMES.join(', ')} can be started`);
  return found;
}

/** Serve the files of a page, { path: [type, read] }; resolves with what it posts. */
function served(server, files) {
  return new Promise((resolve) => {
    server.on('request', (request, response) => {
      if (request.url === '/report') {
        let body = '';
        request.on('data', (part) => { body += part; });
        request.on('end', () => {
          response.end();
          resolve(JSON.parse(body));
        });
        return;
      }
      const [type, read] = files[request.url] || files[request.url.split('?')[0]] || [];
      response.writeHead(type ? 200 : 404, { 'content-type': `${type || 'text/plain'}; charset=utf-8` });
      response.end(type ? read() : '');
    });
  });
}

/** Remove a folder in which dying processes may still write for a moment. */
async function removed(folder) {
  await fs.promises.rm(folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 20 });
}

/**
 * Have Chromium open the page; resolves with its report.
 *
 * Now and then a headless Chromium starts and loads nothing: then another one gets the page.
 */
async function visited(url, report) {
  for (let attempt = 1; ; attempt++) {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'primus-chromium-'));
    // In a group of its own, because its children would go on writing into the profile.
    const browser = spawn(chromium(), [...FLAGS, `--user-data-dir=${profile}`, url], {
      stdio: 'ignore', detached: true
    });
    const exited = new Promise((resolve) => browser.on('exit', resolve));
    let timer;
    const silent = new Promise((resolve) => { timer = setTimeout(resolve, PAGE_MS); });
    try {
      const result = await Promise.race([report, exited, silent]);
      if (result && typeof result === 'object') return result;
      assert.ok(attempt < ATTEMPTS, `the page reported nothing, in ${ATTEMPTS} Chromiums`);
    } finally {
      clearTimeout(timer);
      try {
        process.kill(-browser.pid, 'SIGKILL');
      } catch (error) {
        assert.strictEqual(error.code, 'ESRCH'); // it has ended by itself
      }
      await exited;
      await removed(profile);
    }
  }
}

module.exports = { served, visited, LIMIT_MS };
