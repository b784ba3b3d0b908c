//! One limit of one quantity in one window of time, counted.
//!
//! Two counts, of the running window and of the one before it, whose share fades as the running one passes. So what is
//! accepted is the limit, in every window under a steady load and from the first one on; a bucket that starts full and refills
//! would accept twice the limit in its first window. Whoever was nearly idle at the end of a window and not at its beginning can
//! come to twice the limit across the border of two.
//!
//! What is more than the limit at once passes when nothing else counts any more, and is paid off at the limit's rate: so a
//! batch larger than a window is slowed down and never shut out. Time is milliseconds since whatever the caller counts from.

use super::rules::Rule;

/// The counts. New ones are [`Window::default`].
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    period_ms: u64,
    began_ms: u64,
    /// Used in the window before this one; the limit at most.
    before: u64,
    /// Used in this one; more than the limit if there is debt.
    used: u64,
}

impl Window {
    /// How long to wait until this fits; 0: it fits now. It is not taken yet.
    pub(super) fn wait_ms(&mut self, rule: &Rule, cost: u64, now_ms: u64) -> u64 {
        self.turn(rule, now_ms);
        if cost == 0 {
            return 0;
        }
        let (most, period) = (rule.amount, rule.period_ms);
        let need = cost.min(most);
        let passed = now_ms - self.began_ms;
        let over = (self.used + need).saturating_sub(most);
        if over == 0 {
            return fades_after(self.before, most - self.used - need, period).saturating_sub(passed);
        }
        let turns = over.div_ceil(most);
        let before = (self.used - (turns - 1) * most).min(most);
        let used = self.used.saturating_sub(turns * most);
        (turns * period - passed).saturating_add(fades_after(before, most - used - need, period))
    }

    /// Takes it, whether it fits or not: what does not is debt.
    pub(super) fn take(&mut self, rule: &Rule, cost: u64, now_ms: u64) {
        self.turn(rule, now_ms);
        self.used = self.used.saturating_add(cost).min(u64::MAX / 2);
    }

    /// Goes on to the window of this moment.
    fn turn(&mut self, rule: &Rule, now_ms: u64) {
        if self.period_ms != rule.period_ms {
            // Another window than the one that was counted.
            *self = Self { period_ms: rule.period_ms, began_ms: now_ms, before: 0, used: 0 };
        }
        let turns = now_ms.saturating_sub(self.began_ms) / rule.period_ms;
        if turns > 0 {
            let settled = rule.amount.saturating_mul(turns - 1);
            self.before = self.used.saturating_sub(settled).min(rule.amount);
            self.used = self.used.saturating_sub(settled.saturating_add(rule.amount));
            self.began_ms += turns * rule.period_ms;
            if self.before == 0 && self.used == 0 {
                self.began_ms = now_ms;
            }
        }
        // Several ask at once: whoever took the time first may come second.
        self.began_ms = self.began_ms.min(now_ms);
    }
}

/// After how much of a window the share of the one before it is no more than `spare`.
fn fades_after(before: u64, spare: u64, period_ms: u64) -> u64 {
    if before <= spare {
        return 0;
    }
    let stays = u128::from(spare) * u128::from(period_ms) / u128::from(before);
    period_ms - u64::try_from(stays).unwrap_or(period_ms)
}

#[cfg(test)]
mod tests {
    use super::super::rules::Quantity;
    use super::*;

    fn rule(amount: u64, period_ms: u64) -> Rule {
        Rule { quantity: Quantity::Samples, amount, period_ms }
    }

    /// Offers `cost` every `every_ms` until `until_ms`; returns when each was accepted.
    fn offer(rule: &Rule, cost: u64, every_ms: usize, until_ms: u64) -> Vec<u64> {
        let mut window = Window::default();
        let mut accepted = Vec::new();
        for now in (0..until_ms).step_by(every_ms) {
            if window.wait_ms(rule, cost, now) == 0 {
                window.take(rule, cost, now);
                accepted.push(now);
            }
        }
        accepted
    }

    #[test]
    fn of_ten_times_the_limit_the_limit_is_accepted_in_every_window_from_the_first() {
        for (amount, period_ms, cost) in [(200, 1_000, 1), (6_000, 60_000, 1), (10_000, 1_000, 94)] {
            let rule = rule(amount, period_ms);
            let every_ms = (period_ms * cost / (10 * amount)).max(1);
            let windows = 20;
            let times = offer(&rule, cost, usize::try_from(every_ms).unwrap(), windows * period_ms);
            for window in 0..windows {
                let within = |t: &&u64| (window * period_ms..(window + 1) * period_ms).contains(*t);
                let took = times.iter().filter(within).count() as u64 * cost;
                let percent = took * 100 / amount;
                assert!((98..=102).contains(&percent), "window {window} of {amount}/{period_ms}: {took}");
            }
            // Also where the window does not begin with one of ours.
            for from in (0..(windows - 1) * period_ms).step_by(usize::try_from(period_ms / 7).unwrap()) {
                let took =
                    times.iter().filter(|t| (from..from + period_ms).contains(*t)).count() as u64 * cost;
                assert!(took * 100 <= amount * 102, "{took} of {amount} from {from}");
            }
        }
    }

    #[test]
    fn what_is_told_to_wait_fits_then_and_not_a_moment_before() {
        let rule = rule(1_000, 10_000);
        let mut window = Window::default();
        let mut now = 0;
        for step in 0..5_000_u64 {
            let cost = 1 + step * 7_919 % 1_700;
            let wait = window.wait_ms(&rule, cost, now);
            if wait > 0 {
                assert!(
                    window.clone().wait_ms(&rule, cost, now + wait - 1) > 0,
                    "{cost} fits before {wait} ms"
                );
                now += wait;
                assert_eq!(window.wait_ms(&rule, cost, now), 0, "{cost} does not fit after {wait} ms");
            }
            window.take(&rule, cost, now);
            now += step % 13;
        }
    }

    #[test]
    fn what_is_larger_than_the_limit_passes_and_is_paid_off_at_its_rate() {
        let rule = rule(100, 1_000);
        let times = offer(&rule, 1_000, 100, 100_000);
        assert!((9..=11).contains(&times.len()), "{times:?}");
        let mut window = Window::default();
        window.take(&rule, 5_000, 0);
        let wait = window.wait_ms(&rule, 1, 0);
        assert!((50_000..=51_000).contains(&wait), "{wait}");
    }

    #[test]
    fn another_amount_counts_at_once_and_another_window_begins_anew() {
        let mut window = Window::default();
        window.take(&rule(100, 1_000), 100, 0);
        assert!(window.wait_ms(&rule(100, 1_000), 1, 0) > 0);
        assert_eq!(window.wait_ms(&rule(200, 1_000), 100, 0), 0);
        assert_eq!(window.wait_ms(&rule(100, 60_000), 100, 0), 0);
    }

    #[test]
    fn nothing_overflows() {
        let most = rule(super::super::rules::AMOUNT_MAX, super::super::rules::PERIOD_MS_MAX);
        let mut window = Window::default();
        for now in [0, 1, u64::MAX / 4] {
            window.take(&most, u64::MAX, now);
            window.wait_ms(&most, u64::MAX, now);
        }
    }
}
