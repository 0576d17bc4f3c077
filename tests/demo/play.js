'use strict';

// Two people chat on the demo page in headless Chromium, and one of them is cut off.
//
//   node play.js URL [FOLDER]    FOLDER gets a screenshot of each step
const assert = require('node:assert');
const path = require('path');
const { chromium } = require('../interop/node_modules/playwright-core');
const { executable } = require('../interop/browser.js');

const SECONDS = 20; // the limit of every wait
const HTML = '<img src=x onerror="document.title=1"> <b>&amp;</b>';

const [url, folder] = process.argv.slice(2);
const complaints = [];

async function open(browser, name, context) {
  const page = await (await browser.newContext(context)).newPage();
  page.setDefaultTimeout(SECONDS * 1000);
  page.on('pageerror', (error) => complaints.push(`${name}: ${error.stack || error}`));
  page.on('console', (message) => {
    // A request that fails while offline is what one of the steps is about.
    if (['error', 'warning'].includes(message.type()) && !/ERR_INTERNET_DISCONNECTED/.test(message.text())) {
      complaints.push(`${name}: ${message.text()}`);
    }
  });
  await page.addInitScript((text) => sessionStorage.setItem('name', text), name);
  await page.goto(url);
  await state(page, 'open');
  return page;
}

const state = (page, name) => page.waitForSelector(`body[data-state=${name}]`);
const message = (page, text, more = '') => page.locator(`.message${more}`, { hasText: text }).waitFor();
const notice = (page, text) => page.locator('.notice', { hasText: text }).first().waitFor();

async function say(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

// Nothing is cut off at the side, and the page itself does not scroll.
async function fits(page) {
  const [width, height, wide, high] = await page.evaluate(() =>
    [innerWidth, innerHeight, document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
  assert.deepStrictEqual([wide, high], [width, height]);
  const wider = await page.$$eval('button', (all) => all.filter((one) => one.scrollWidth > one.clientWidth).length);
  assert.strictEqual(wider, 0, 'a button is too small for its text');
}

async function play(browser) {
  const ana = await open(browser, 'Ana', { viewport: { width: 1280, height: 800 } });
  const ben = await open(browser, 'Ben', {
    viewport: { width: 390, height: 844 }, colorScheme: 'dark', isMobile: true, hasTouch: true
  });
  const shot = async (step) => {
    for (const [name, page] of folder ? [['desktop', ana], ['phone', ben]] : []) {
      await page.screenshot({ path: path.join(folder, `${step}-${name}.png`) });
    }
  };

  await notice(ana, 'Ben joined');
  assert.strictEqual(await ana.textContent('#online'), '2 people here');
  assert.strictEqual(await ana.textContent('#transformer'), 'websockets');
  assert.strictEqual(await ana.textContent('#parser'), 'json');

  await say(ben, HTML);
  await message(ana, HTML);
  assert.strictEqual(await ana.locator('.message img, .message b').count(), 0);
  await say(ana, 'Hello!');
  await message(ben, 'Hello!');
  await message(ana, 'Hello!', '.own:not(.unconfirmed)');

  await ben.fill('#name', 'Benedict');
  await ben.press('#name', 'Enter');
  await notice(ana, 'Ben is now Benedict');

  // A heartbeat each second.
  await ana.waitForFunction(() => (document.querySelector('#sparkline .line').getAttribute('d') || '').includes('L'));
  assert.match(await ana.textContent('#latency'), /^\d+(\.\d)? ms$/);
  await Promise.all([fits(ana), fits(ben)]);
  await shot('open');

  await ben.click('#kill');
  await state(ben, 'reconnecting');
  assert.match(await ben.textContent('#detail'), /^in \d+ s \(attempt 1 of 10\)$/);
  assert.ok(await ben.isDisabled('#kill'));
  await notice(ana, 'Benedict left');
  await say(ben, 'Written meanwhile');
  await message(ben, 'Written meanwhile', '.own.unconfirmed');
  await fits(ben);
  await shot('reconnecting');
  await message(ana, 'Written meanwhile');
  await message(ben, 'Written meanwhile', '.own:not(.unconfirmed)');
  await state(ben, 'open');
  // The history came once more with the new connection, and nothing is shown twice.
  assert.strictEqual(await ben.locator('.message').count(), 3);
  assert.strictEqual(await ana.textContent('#online'), '2 people here');

  await ana.click('#other');
  await state(ana, 'closed');
  await notice(ben, 'Ana left');
  await say(ben, 'Are you there?');
  await ben.context().setOffline(true);
  await state(ben, 'offline');
  await shot('closed-and-offline');
  await ben.context().setOffline(false);
  await state(ben, 'open');
  await ana.click('#other');
  await state(ana, 'open');
  await message(ana, 'Are you there?');
}

(async () => {
  const browser = await chromium.launch({ executablePath: executable(), args: ['--no-sandbox', '--disable-gpu'] });
  try {
    await play(browser);
  } finally {
    await browser.close();
  }
  assert.deepStrictEqual(complaints, []);
})().catch((error) => {
  console.error(complaints.join('\n'), error);
  process.exitCode = 1;
});
