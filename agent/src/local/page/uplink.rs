//! The way to the cloud, step by step: which hold, and which is the first that does not. Beyond that one nothing is known.

use maud::{Markup, html};

use super::shell::shape;
use super::speaker::Speaker;
use crate::status::{AgentStatus, Network};
use crate::uplink::{Cause, UplinkState};

/// A step of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Link,
    Address,
    Dns,
    Connection,
    Tls,
    Clock,
    Key,
    Server,
}

use Step::{Address, Clock, Connection, Dns, Key, Link, Server, Tls};

const WAY: [Step; 8] = [Link, Address, Dns, Connection, Tls, Clock, Key, Server];

impl Step {
    /// In `data-step`.
    const fn name(self) -> &'static str {
        match self {
            Link => "link",
            Address => "address",
            Dns => "dns",
            Connection => "connection",
            Tls => "tls",
            Clock => "clock",
            Key => "key",
            Server => "server",
        }
    }

    fn word(self, speaker: Speaker) -> &'static str {
        match self {
            Link => speaker.say("step_link"),
            Address => speaker.say("step_address"),
            Dns => speaker.say("step_dns"),
            Connection => speaker.say("step_connection"),
            Tls => speaker.say("step_tls"),
            Clock => speaker.say("step_clock"),
            Key => speaker.say("step_key"),
            Server => speaker.say("step_server"),
        }
    }

    /// Where this cause breaks the way.
    const fn of(cause: Cause) -> Self {
        match cause {
            Cause::Dns => Dns,
            Cause::Address | Cause::Proxy | Cause::Portal => Connection,
            Cause::TlsExpired | Cause::TlsUntrusted | Cause::Tls => Tls,
            Cause::TlsClock => Clock,
            Cause::OwnKey | Cause::Key => Key,
            Cause::Suspended | Cause::Place | Cause::Busy | Cause::Server => Server,
        }
    }
}

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Ok,
    Broken,
    Unknown,
}

/// What the kernel tells of the first two steps; `None` if it tells nothing.
fn seen(network: &Network) -> [Option<bool>; 2] {
    if network.interfaces.is_empty() {
        return [None, None];
    }
    let connected = |is| network.interfaces.iter().any(|interface| interface.connected == Some(is));
    let link = if connected(true) {
        Some(true)
    } else {
        let none_is_unsure = network.interfaces.iter().all(|interface| interface.connected.is_some());
        (none_is_unsure && connected(false)).then_some(false)
    };
    let has_address = network.interfaces.iter().any(|interface| !interface.addresses.is_empty());
    [link, Some(has_address)]
}

/// Each step of the way.
fn way(status: &AgentStatus) -> [Is; 8] {
    let uplink = &status.uplink;
    if uplink.state == UplinkState::Connected {
        return [Is::Ok; 8];
    }
    // A request that came so far shows that what lies before holds. An own key that cannot be used is no request.
    let broken = uplink.cause.map(|cause| (Step::of(cause), cause != Cause::OwnKey));
    let [link, address] = seen(&status.network);
    let mut way = WAY.map(|step| match broken {
        Some((at, _)) if at == step => Is::Broken,
        // Dates that look bad are met during the handshake.
        Some((Clock, _)) if step == Tls => Is::Unknown,
        Some((at, true)) if (step as u8) < at as u8 => Is::Ok,
        _ => Is::Unknown,
    });
    let has_come_far = way[2..].contains(&Is::Ok);
    for (is, seen) in way.iter_mut().zip([link, address]) {
        match seen {
            Some(true) => *is = Is::Ok,
            Some(false) if !has_come_far => {
                *is = Is::Broken;
                break;
            }
            // A failed look-up or connection does not show that there is a cable.
            _ if !has_come_far => *is = Is::Unknown,
            _ => {}
        }
    }
    let first = way.iter().position(|is| *is == Is::Broken).unwrap_or(way.len());
    for is in way.iter_mut().skip(first + 1) {
        *is = Is::Unknown;
    }
    way
}

/// The name of a cause in `data-cause`.
fn cause_name(cause: Option<Cause>) -> String {
    let name = serde_json::to_value(cause).ok().and_then(|name| name.as_str().map(str::to_owned));
    name.unwrap_or_else(|| "none".to_owned())
}

fn state_words(speaker: Speaker, state: UplinkState) -> (&'static str, &'static str) {
    match state {
        UplinkState::Starting => ("unknown", speaker.say("uplink_starting")),
        UplinkState::Connected => ("ok", speaker.say("uplink_connected")),
        UplinkState::Held => ("fault", speaker.say("uplink_held")),
        UplinkState::Waiting => ("stale", speaker.say("uplink_waiting")),
        UplinkState::Failing => ("unreachable", speaker.say("uplink_failing")),
    }
}

/// The whole section.
pub(super) fn uplink(speaker: Speaker, status: &AgentStatus) -> Markup {
    let uplink = &status.uplink;
    let (picture, words) = state_words(speaker, uplink.state);
    let way = way(status);
    let broken = WAY.into_iter().zip(way).find(|(_, is)| *is == Is::Broken).map(|(step, _)| step.name());
    html! {
        section.card #uplink data-cause=(cause_name(uplink.cause)) data-broken=[broken] {
            h2 { (speaker.say("uplink")) }
            p.tell { (shape(picture)) (words) }
            ol.steps { @for (step, is) in WAY.into_iter().zip(way) { (shown(speaker, step, is)) } }
            @if uplink.state != UplinkState::Connected {
                @if let Some(reason) = &uplink.reason { code.verbatim { (reason) } }
            }
            (times(speaker, status))
        }
    }
}

fn shown(speaker: Speaker, step: Step, is: Is) -> Markup {
    let (name, picture, word) = match is {
        Is::Ok => ("ok", "ok", speaker.say("step_ok")),
        Is::Broken => ("broken", "unreachable", speaker.say("step_broken")),
        Is::Unknown => ("unknown", "unknown", speaker.say("step_unknown")),
    };
    html! {
        li data-step=(step.name()) data-is=(name) { (shape(picture)) b { (step.word(speaker)) } (word) }
    }
}

fn times(speaker: Speaker, status: &AgentStatus) -> Markup {
    let (uplink, now) = (&status.uplink, status.now_ms);
    html! {
        dl {
            dt { (speaker.say("last_ack")) }
            dd {
                @match uplink.last_ack_ms {
                    Some(ack) => { (speaker.ago(ack, now)) ", " (speaker.time(ack, now)) }
                    None => (speaker.say("never_since_start")),
                }
            }
            @if let (Some(since), false) = (uplink.since_ms, uplink.state == UplinkState::Connected) {
                dt { (speaker.say("so_since")) }
                dd { (speaker.time(since, now)) " (" (speaker.between(since, now)) ")" }
            }
            @if uplink.failures > 0 {
                dt { (speaker.say("attempts_failed")) }
                dd { (speaker.whole(u64::from(uplink.failures))) }
            }
            @if let Some(next) = uplink.next_attempt_ms.filter(|next| *next > now) {
                dt { (speaker.say("next_attempt")) }
                dd { (speaker.fill("in_span", &[("span", &speaker.between(now, next))])) }
            }
            @if let Some(gateway) = status.network.gateway {
                dt { (speaker.say("gateway")) }
                dd { (gateway) @if let Some(interface) = &status.network.gateway_interface { " (" (interface) ")" } }
            }
            @for interface in &status.network.interfaces {
                dt { (interface.name) }
                dd {
                    @if interface.connected == Some(false) { (speaker.say("not_connected")) }
                    @else if interface.addresses.is_empty() { (speaker.say("no_address")) }
                    @else { @for address in &interface.addresses { (address) " " } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::page::example;
    use crate::status::Interface;

    fn way_of(change: impl FnOnce(&mut AgentStatus)) -> String {
        let mut status = example::status();
        status.uplink.state = UplinkState::Failing;
        change(&mut status);
        let letters = way(&status).map(|is| match is {
            Is::Ok => '+',
            Is::Broken => '!',
            Is::Unknown => '?',
        });
        letters.iter().collect()
    }

    fn plugged(connected: Option<bool>, address: Option<&str>) -> Interface {
        let addresses = address.into_iter().map(|a| a.parse().unwrap()).collect();
        Interface { name: "eth0".to_owned(), connected, addresses }
    }

    #[test]
    fn every_cause_breaks_one_step_and_hides_what_lies_beyond() {
        for (cause, says) in [
            (Cause::Dns, "++!?????"),
            (Cause::Address, "+++!????"),
            (Cause::Proxy, "+++!????"),
            (Cause::Portal, "+++!????"),
            (Cause::TlsExpired, "++++!???"),
            (Cause::TlsUntrusted, "++++!???"),
            (Cause::Tls, "++++!???"),
            (Cause::TlsClock, "++++?!??"),
            (Cause::OwnKey, "++????!?"),
            (Cause::Key, "++++++!?"),
            (Cause::Suspended, "+++++++!"),
            (Cause::Place, "+++++++!"),
            (Cause::Busy, "+++++++!"),
            (Cause::Server, "+++++++!"),
        ] {
            assert_eq!(way_of(|status| status.uplink.cause = Some(cause)), says, "{cause:?}");
        }
        assert_eq!(way_of(|status| status.uplink.state = UplinkState::Connected), "++++++++");
        assert_eq!(way_of(|_| ()), "++??????", "nothing was tried");
    }

    #[test]
    fn a_cable_that_is_out_explains_what_comes_after_it() {
        let with = |interface: Interface, cause| {
            way_of(|status| {
                status.network.interfaces = vec![interface];
                status.uplink.cause = cause;
            })
        };
        assert_eq!(with(plugged(Some(false), None), Some(Cause::Dns)), "!???????");
        assert_eq!(with(plugged(Some(true), None), Some(Cause::Dns)), "+!??????");
        assert_eq!(with(plugged(None, None), None), "?!??????", "the kernel does not know of the cable");
        assert_eq!(with(plugged(Some(false), None), Some(Cause::Key)), "++++++!?", "the cloud has answered");
        let unseen = way_of(|status| {
            status.network.interfaces.clear();
            status.uplink.cause = Some(Cause::Dns);
        });
        assert_eq!(unseen, "??!?????", "nobody has looked at the cable");
    }
}
