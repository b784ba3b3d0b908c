//! Limits: how much a key, a store and a tenant may ask, send and say, in several windows and a day.
//!
//! They are data ([`Limits`]: how they are written, checked and merged) and come with the key's row, so a changed plan counts
//! as soon as that row is read again: at once where the notification arrives, two seconds later where it does not. Each process
//! counts for itself and in memory: of n processes behind a balancer a tenant may use n times its limit, if it reaches all of
//! them. A request is charged from its head, before anything of its body is read and before it holds bytes or a place
//! ([`crate::admission`]), so who is far beyond its limit takes nothing from others.
//!
//! What is refused is 429 with `Retry-After`, and names the limit. It closes no batch number: agents hold and come back. What
//! is let in and then refused or found to be a duplicate stays charged.
//!
//! `window` counts, `account` keeps the windows of one, `allowance` is what a request is charged to, `limiter` finds accounts,
//! `quota` and `days` count the day.

mod account;
mod allowance;
mod charge;
mod days;
mod limiter;
mod quota;
mod rules;
mod sql;
mod window;

pub(crate) use self::allowance::{Allowance, Exceeded};
pub(crate) use self::charge::{Charge, length};
pub(crate) use self::days::read_now_and_then;
pub(crate) use self::limiter::Limiter;
pub(crate) use self::rules::Limits;
