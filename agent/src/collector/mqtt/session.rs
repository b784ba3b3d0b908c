//! The connection to a broker: made, subscribed, read until it ends, and made again after 1 to 60 seconds.
//!
//! It is new each time, and so is its subscription: the library does not subscribe again by itself. What arrives together
//! with the end of a connection is still read.

use std::time::Duration;

use rand::RngExt as _;
use rumqttc::mqttbytes::Error as WireError;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet,
    QoS, StateError, SubscribeFilter, SubscribeReasonCode,
};
use tokio::time::Instant;

use super::super::Context;
use super::super::fault::{Fault, FaultKind};
use super::Settings;
use super::sensor::Sensor;

/// Longest message. The longest that is known, zigbee2mqtt's of a bridge, is not subscribed to.
const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// What we send: two names, a password, topics.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Between the end of a connection and the next.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);
/// A connection that held this long was a good one: the next rest is short again.
const HELD: Duration = Duration::from_secs(10);
/// Without TLS.
const PORT: u16 = 1_883;

/// Connects until it is told to stop.
pub(super) async fn run(settings: &Settings, ctx: &Context) {
    let mut sensor = Sensor::new(settings, ctx);
    let mut rest = REST_MIN;
    loop {
        let began = Instant::now();
        let Some(fault) = session(settings, ctx, &mut sensor).await else { return };
        if began.elapsed() >= HELD {
            rest = REST_MIN;
        }
        sensor.lost(fault).await;
        // A little apart from the other devices, which have lost the same broker.
        let apart = rest.mul_f64(rand::rng().random_range(0.75..=1.0));
        tokio::select! {
            () = ctx.stop.cancelled() => return,
            () = tokio::time::sleep(apart) => {}
        }
        rest = (rest * 2).min(REST_MAX);
    }
}

/// `host`, or `host:port`, or `[address]:port`.
pub(super) fn host_and_port(broker: &str) -> Result<(String, u16), String> {
    let (host, port) = match broker.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("broker {broker:?}: {port:?} is no port"))?)
        }
        _ => (broker, PORT),
    };
    if host.is_empty() || host.contains('/') || (host.contains(':') && !host.starts_with('[')) {
        return Err(format!("broker {broker:?} is not host:port"));
    }
    Ok((host.to_owned(), port))
}

/// One connection: how it ended, or nothing when it is time to stop.
async fn session(settings: &Settings, ctx: &Context, sensor: &mut Sensor<'_>) -> Option<Fault> {
    let opened = tokio::select! {
        () = ctx.stop.cancelled() => return None,
        opened = open(settings, ctx) => opened,
    };
    let (client, mut events) = match opened {
        Ok(opened) => opened,
        Err(fault) => return Some(fault),
    };
    // Set while the broker owes the answer to our subscription.
    let mut owed: Option<Instant> = None;
    loop {
        let event = {
            // Not dropped before it is ready: a connection that is being made would be lost with it.
            let mut poll = std::pin::pin!(events.poll());
            loop {
                let stale = sensor.stale_at();
                tokio::select! {
                    () = ctx.stop.cancelled() => return None,
                    event = &mut poll => break event,
                    () = until(owed) => {
                        return Some(Fault::new(FaultKind::Timeout, "the broker does not answer our subscription"));
                    }
                    () = until(stale) => sensor.is_stale().await,
                }
            }
        };
        let ended = match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                owed = Some(Instant::now() + settings.timeout);
                subscribe(&client, sensor).err()
            }
            Ok(event) => incoming(event, sensor, &mut owed).await.err(),
            Err(error) => {
                // What came with the end has been read by the library, and nobody has asked for it yet.
                for event in std::mem::take(&mut events.state.events) {
                    if let Err(fault) = incoming(event, sensor, &mut owed).await {
                        return Some(fault);
                    }
                }
                Some(fault_of(&error))
            }
        };
        if ended.is_some() {
            return ended;
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn open(settings: &Settings, ctx: &Context) -> Result<(AsyncClient, EventLoop), Fault> {
    let (host, port) = host_and_port(&settings.broker).map_err(|why| Fault::new(FaultKind::Dns, why))?;
    // The library resolves for itself, and does not tell a name that is unknown from a connection that was refused.
    let found =
        tokio::time::timeout(settings.timeout, tokio::net::lookup_host(format!("{host}:{port}"))).await;
    match found {
        Err(_) => return Err(Fault::new(FaultKind::Timeout, format!("{host} is not resolved in time"))),
        Ok(Err(error)) => return Err(Fault::new(FaultKind::Dns, format!("{host}: {error}"))),
        Ok(Ok(_)) => {}
    }
    let own_name = || format!("storepulse-{}", ctx.sink.device());
    let mut options = MqttOptions::new(settings.client_id.clone().unwrap_or_else(own_name), host, port);
    options
        .set_clean_session(true)
        .set_keep_alive(settings.keep_alive)
        .set_max_packet_size(MESSAGE_BYTES_MAX, REQUEST_BYTES_MAX);
    if let Some(username) = &settings.username {
        let password = settings.password.as_ref().map_or(Ok(String::new()), |password| password.read())?;
        options.set_credentials(username, password);
    }
    let (client, mut events) = AsyncClient::new(options, 4);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(settings.timeout.as_secs());
    events.set_network_options(network);
    Ok((client, events))
}

fn subscribe(client: &AsyncClient, sensor: &Sensor<'_>) -> Result<(), Fault> {
    let filters = sensor.topics().map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
    client
        .try_subscribe_many(filters)
        .map_err(|_| Fault::new(FaultKind::Internal, "the subscription is not taken by the library"))
}

async fn incoming(event: Event, sensor: &mut Sensor<'_>, owed: &mut Option<Instant>) -> Result<(), Fault> {
    match event {
        Event::Incoming(Packet::SubAck(answer)) => {
            *owed = None;
            if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                let text =
                    "the broker does not let us read the topics of this device; look at its access rules";
                return Err(Fault::new(FaultKind::Denied, text));
            }
            sensor.subscribed().await;
        }
        Event::Incoming(Packet::Publish(message)) => {
            sensor.message(&message.topic, &message.payload, message.retain).await;
        }
        _ => {}
    }
    Ok(())
}

/// Why a connection ended. The library's own words may hold what the broker said, so they are not used.
fn fault_of(error: &ConnectionError) -> Fault {
    let (kind, text) = match error {
        ConnectionError::NetworkTimeout => {
            (FaultKind::Timeout, "the broker does not answer in time".to_owned())
        }
        ConnectionError::FlushTimeout => {
            (FaultKind::Timeout, "the broker does not take what we send".to_owned())
        }
        ConnectionError::Io(error) => {
            (FaultKind::Refused, format!("the broker cannot be connected to: {error}"))
        }
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::MqttState(error) => return state_fault(error),
        ConnectionError::NotConnAck(_) => (FaultKind::Framing, "what answers is no MQTT broker".to_owned()),
        ConnectionError::RequestsDone => (FaultKind::Internal, "the library has no client".to_owned()),
    };
    Fault::new(kind, text)
}

fn refused(code: ConnectReturnCode) -> (FaultKind, String) {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            (FaultKind::Denied, "the broker does not let us in; look at username and password".to_owned())
        }
        ConnectReturnCode::BadClientId => {
            (FaultKind::Denied, "the broker does not take our name; look at client_id".to_owned())
        }
        ConnectReturnCode::RefusedProtocolVersion => {
            (FaultKind::Unsupported, "the broker does not speak MQTT 3.1.1".to_owned())
        }
        ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => {
            (FaultKind::Refused, "the broker says that it is not available".to_owned())
        }
    }
}

fn state_fault(error: &StateError) -> Fault {
    let (kind, text) = match error {
        StateError::AwaitPingResp | StateError::CollisionTimeout => {
            (FaultKind::Timeout, "the broker does not say that it is there".to_owned())
        }
        StateError::Io(_) | StateError::ConnectionAborted | StateError::Deserialization(WireError::Io(_)) => (
            FaultKind::Refused,
            "the connection was closed from the other side; if at once, another client has the same client_id".to_owned(),
        ),
        StateError::Deserialization(WireError::PayloadSizeLimitExceeded(_)) => {
            (FaultKind::TooLarge, format!("a message of more than {MESSAGE_BYTES_MAX} bytes"))
        }
        _ => (FaultKind::Framing, "what the broker says is no MQTT".to_owned()),
    };
    Fault::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_with_or_without_a_port() {
        for (broker, host, port) in [
            ("10.0.0.5", "10.0.0.5", 1_883),
            ("broker.shop.lan:8883", "broker.shop.lan", 8_883),
            ("[::1]:1884", "[::1]", 1_884),
            ("[::1]", "[::1]", 1_883),
        ] {
            assert_eq!(host_and_port(broker).unwrap(), (host.to_owned(), port), "{broker}");
        }
        for bad in ["", ":1883", "broker:x", "mqtt://broker:1883", "::1", "broker:70000"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
