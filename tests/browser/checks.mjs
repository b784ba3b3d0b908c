// What was checked, and what did not hold: told as soon as it is known, with what was found instead.

// Characters of it.
const FOUND_MAX = 1500;

export class Checks {
  #scene = '';
  #begun = 0;
  #failedBefore = 0;
  #countBefore = 0;
  #told = new Map();
  count = 0;
  failed = 0;
  screenshots = 0;

  begin(scene) {
    [this.#scene, this.#begun] = [scene, Date.now()];
    [this.#failedBefore, this.#countBefore] = [this.failed, this.count];
  }

  // `holds` may be anything that is true or not; `found` is told if it does not, once if it is found again and again.
  that(what, holds, found = '') {
    this.count += 1;
    if (holds) return true;
    this.failed += 1;
    const told = typeof found === 'string' ? found : JSON.stringify(found);
    const before = this.#told.get(told);
    if (told.length > 30 && !before) this.#told.set(told, what);
    const because = before ? ` (as in "${before}")` : told && `\n         found: ${told.slice(0, FOUND_MAX)}`;
    console.log(`  FAILED ${this.#scene}: ${what}${because}`);
    return false;
  }

  same(what, found, wanted) {
    const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
    return this.that(what, is === should, `${is}, not ${should}`);
  }

  // A scene that could not be played to its end.
  broken(error) {
    this.that('the scene is played to its end', false, String(error?.stack ?? error));
  }

  end() {
    const [count, failed] = [this.count - this.#countBefore, this.failed - this.#failedBefore];
    const seconds = ((Date.now() - this.#begun) / 1000).toFixed(1);
    console.log(`${failed ? 'NOT OK' : 'ok'} ${this.#scene}: ${count} checks${failed ? `, ${failed} failed` : ''}, ${seconds} s`);
  }
}
