//! An outcome and a comparison, as runs produce them, for the tests of reports.

use crate::outcome::{
    Axis, Compared, Comparison, Figure, Group, Latency, Machine, Outcome, Reason, SCHEMA, Series,
    Unit,
};

const STREAMS: f64 = 15_000.0;
/// As a fan-out of 15,000 streams produces them; servers differ in the tail.
const QUANTILES: [(f64, f64); 10] = [
    (0.0, 0.000_21),
    (0.5, 0.012_4),
    (0.75, 0.018_8),
    (0.9, 0.027_9),
    (0.95, 0.037_0),
    (0.99, 0.061_2),
    (0.995, 0.071_9),
    (0.999, 0.112),
    (0.9999, 0.164),
    (1.0, 0.181),
];

/// One run against one target.
pub(crate) fn outcome() -> Outcome {
    Outcome {
        schema: SCHEMA,
        tool: "fantail-loadtest 0.1.0".to_owned(),
        scenario: "fanout".to_owned(),
        target: "fantail".to_owned(),
        started: "2026-11-20T09:15:00Z".to_owned(),
        seconds: 62.4,
        machine: Machine {
            cores: 4,
            memory_bytes: 16 << 30,
            processor: "Example Processor 3.0 GHz".to_owned(),
            kernel: "Linux 6.1.0".to_owned(),
        },
        arguments: ["fanout", "--streams", "15000", "--name", "night run"]
            .map(str::to_owned)
            .to_vec(),
        figures: figures(),
        latencies: vec![
            latency("delivery_rate", "delivery, at a steady rate", 1.0),
            latency("reach_all", "until every stream has it", 2.6),
        ],
        series: series(1.0),
        reasons: vec![
            Reason {
                text: "connect: connection refused".to_owned(),
                count: 1_204,
            },
            Reason {
                text: "answered 503 Service Unavailable".to_owned(),
                count: 3,
            },
        ],
        warnings: vec!["the generator used 1.92 of 2 cores: it may have been the limit".to_owned()],
        failure: None,
    }
}

/// Three targets: the baseline with two rounds, a slower one without the CPU figure, and one with a
/// hostile name.
pub(crate) fn comparison() -> Comparison {
    let mut poorer = scaled("nchan", 1.9);
    poorer
        .figures
        .retain(|figure| figure.group != Group::Server);
    poorer.warnings.clear();
    Comparison {
        schema: SCHEMA,
        baseline: "fantail".to_owned(),
        targets: vec![
            compared(
                "fantail",
                vec![scaled("fantail", 1.0), scaled("fantail", 1.2)],
            ),
            compared("nchan", vec![poorer]),
            compared(
                "<script>alert(1)</script>",
                vec![scaled("<script>alert(1)</script>", 6.5)],
            ),
        ],
        skipped: vec![Reason {
            text: "mercure: the program is not installed".to_owned(),
            count: 1,
        }],
    }
}

/// An outcome with its required parts only.
pub(crate) fn bare_outcome() -> Outcome {
    Outcome {
        figures: Vec::new(),
        latencies: Vec::new(),
        series: Vec::new(),
        reasons: Vec::new(),
        warnings: Vec::new(),
        failure: None,
        ..outcome()
    }
}

fn compared(name: &str, rounds: Vec<Outcome>) -> Compared {
    Compared {
        name: name.to_owned(),
        rounds,
    }
}

/// The outcome of a server that needs `factor` times the time and memory.
fn scaled(target: &str, factor: f64) -> Outcome {
    let mut outcome = outcome();
    outcome.target = target.to_owned();
    for figure in &mut outcome.figures {
        match figure.unit {
            Unit::Seconds | Unit::Bytes | Unit::Cores => figure.value *= factor,
            Unit::PerSecond => figure.value /= factor,
            Unit::Count | Unit::Share => {}
        }
    }
    for latency in &mut outcome.latencies {
        for (_, seconds) in &mut latency.quantiles {
            *seconds *= factor;
        }
    }
    outcome.series = series(factor);
    outcome
}

fn figures() -> Vec<Figure> {
    use Group::{Delivery, Generator, Memory, Publishing, Server, Streams, Truth};
    let rows = [
        ("streams", "streams open", Streams, STREAMS, Unit::Count),
        (
            "connects_per_s",
            "connects",
            Streams,
            17_600.0,
            Unit::PerSecond,
        ),
        ("refused", "refused", Streams, 1_207.0, Unit::Count),
        ("lost", "lost", Truth, 0.0, Unit::Count),
        ("doubled", "doubled", Truth, 0.0, Unit::Count),
        ("out_of_order", "out of order", Truth, 2.0, Unit::Count),
        ("gap_told", "told as a gap", Truth, 40.0, Unit::Count),
        (
            "deliveries_per_s",
            "deliveries",
            Delivery,
            2_410_000.0,
            Unit::PerSecond,
        ),
        (
            "publish_p99",
            "publish, p99",
            Publishing,
            0.001_23,
            Unit::Seconds,
        ),
        (
            "memory_per_stream",
            "process memory a stream",
            Memory,
            212.0,
            Unit::Bytes,
        ),
        (
            "kernel_per_stream",
            "kernel memory a stream",
            Memory,
            10_240.0,
            Unit::Bytes,
        ),
        (
            "cpu_per_delivery",
            "CPU a delivery, one event at a time",
            Server,
            9.7e-6,
            Unit::Seconds,
        ),
        (
            "generator_cpu",
            "generator CPU",
            Generator,
            1.234,
            Unit::Cores,
        ),
    ];
    rows.map(|(name, label, group, value, unit)| Figure {
        name: name.to_owned(),
        label: label.to_owned(),
        group,
        value,
        unit,
        note: None,
    })
    .to_vec()
}

fn latency(name: &str, label: &str, factor: f64) -> Latency {
    Latency {
        name: name.to_owned(),
        label: label.to_owned(),
        count: 15_000_000,
        quantiles: QUANTILES
            .iter()
            .map(|(quantile, seconds)| (*quantile, seconds * factor))
            .collect(),
    }
}

fn series(factor: f64) -> Vec<Series> {
    let time = ("time", Unit::Seconds);
    let streams = ("streams", Unit::Count);
    let memory = ("memory", Unit::Bytes);
    let of_streams = |a_stream: f64| {
        (0..=30)
            .map(|step| f64::from(step) * STREAMS / 30.0)
            .map(|streams| (streams, 4e6 + streams * a_stream * factor))
            .collect()
    };
    let of_time = |most: f64| {
        (0..60)
            .map(f64::from)
            .map(|second| {
                (
                    second,
                    most / factor * (1.0 - 0.15 * (second / 4.0).sin().abs()),
                )
            })
            .collect()
    };
    vec![
        curve(
            "deliveries",
            "deliveries",
            time,
            ("deliveries", Unit::PerSecond),
            of_time(2.41e6),
        ),
        curve(
            "process_memory",
            "process",
            streams,
            memory,
            of_streams(212.0),
        ),
        curve(
            "kernel_memory",
            "kernel",
            streams,
            memory,
            of_streams(10_240.0),
        ),
        curve(
            "connects",
            "connects",
            time,
            ("connects", Unit::PerSecond),
            of_time(17_600.0),
        ),
    ]
}

fn curve(
    name: &str,
    label: &str,
    (x, x_unit): (&str, Unit),
    (y, y_unit): (&str, Unit),
    points: Vec<(f64, f64)>,
) -> Series {
    let axis = |label: &str, unit| Axis {
        label: label.to_owned(),
        unit,
    };
    Series {
        name: name.to_owned(),
        label: label.to_owned(),
        x: axis(x, x_unit),
        y: axis(y, y_unit),
        points,
    }
}
