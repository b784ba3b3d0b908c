// Whoever has signed in already, or does so now: scenes can be played one by one.

import { Visit } from './visit.mjs';

export async function signed(stage) {
  if (!stage.remembered.signedIn) {
    const visit = await Visit.begin(stage);
    await visit.signIn('/');
    stage.remembered.signedIn = visit;
  }
  return stage.remembered.signedIn;
}

// Follows the page of a job until it has ended; how it ended.
export async function ended(visit, what, patience = 45000) {
  const { checks } = visit.stage;
  const { pathname } = new URL(visit.page.url());
  if (!checks.that(`${what} leads to a job`, /^\/job\/\d+$/.test(pathname), `${pathname}: ${await visit.text('main')}`)) return null;
  await visit.until(`${what} ends`, () => {
    const job = document.querySelector('[data-job-state]');
    return job ? job.dataset.jobState !== 'running' : !document.querySelector('progress');
  }, patience);
  // The steps of setting up show their outcome in a form of their own.
  const step = await visit.page.$('[data-step], [data-probed]');
  return step ? 'done' : visit.attribute('[data-job-state]', 'data-job-state');
}
