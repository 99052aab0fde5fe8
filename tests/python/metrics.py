"""Reads a page of /metrics with the parsers of Prometheus's own Python client: metrics.py classic|openmetrics < page

Prints the samples as JSON lines: name, labels, value. Fails where the page is not well formed."""

import json
import sys

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as classic

parse = {"classic": classic, "openmetrics": openmetrics}[sys.argv[1]].text_string_to_metric_families

seen = set()
for family in parse(sys.stdin.read()):
    if family.name in seen:
        sys.exit(f"{family.name} comes twice")
    seen.add(family.name)
    if family.type == "unknown" or not family.documentation:
        sys.exit(f"{family.name} has no type or no help")
    for sample in family.samples:
        # Start, uptime and the like differ from scrape to scrape.
        if not sample.name.startswith("process_"):
            print(json.dumps([sample.name, sorted(sample.labels.items()), sample.value]))
