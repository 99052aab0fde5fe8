//! The example of a program with a node inside runs, and ends.

#[path = "../../examples/embed.rs"]
mod example;

#[test]
fn the_example_starts_a_node_hears_its_event_and_ends() {
    example::main().expect("it runs to its end");
}
