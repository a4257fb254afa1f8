# SPDX-License-Identifier: GPL-2.0-only
#
# bench-report's table, JSON and verdict. A record is found by what it is about:
# value[part, kind, what, poll, load, backends, key], where a "count" has no
# load and one backend, and of a "blk" record "what" is where it was taken,
# "poll" the operation and "load" the queue depth.

function field(key,   i) {
	for (i = 3; i <= NF; i++)
		if (index($i, key "=") == 1)
			return substr($i, length(key) + 2)
	return ""
}

{
	if ($2 == "blk")
		id = field("where") SUBSEP field("op") SUBSEP field("depth") SUBSEP 1
	else if ($2 == "count")
		id = field("what") SUBSEP field("poll") SUBSEP "alone" SUBSEP 1
	else
		id = field("what") SUBSEP field("poll") SUBSEP field("load") \
			SUBSEP field("backends")
	for (i = 3; i <= NF; i++) {
		split($i, pair, "=")
		value[$1, $2, id, pair[1]] = pair[2]
	}
	record[++records] = $0
}

function get(part, kind, what, poll, load, backends, key) {
	return value[part, kind, what, poll, load, backends, key]
}

function is_there(part, kind, what, poll, load, backends) {
	return (part, kind, what, poll, load, backends, "requests") in value
}

# A quotient as text, or "-" if there is none
function quotient(a, b, digits) {
	return a == "" || b == "" || a == "-" || b == "-" || b == 0 ? "-" : sprintf("%." digits "f", a / b)
}

function title(what, poll) { return what (poll ? ", busy-poll" : "") }

# Targets. A sum over all requests is compared with so many for each.
function target(name, value, relation, limit,   met) {
	met = value != "-" && value != "" &&
		(relation == "=" ? value + 0 == limit : value + 0 <= limit)
	target_name[++targets] = name
	target_value[targets] = value == "" ? "-" : value
	target_limit[targets] = (relation == "=" ? "" : "at most ") limit
	target_met[targets] = met
	missed += !met
}

function per_request(what, poll, key) {
	return quotient(get("counts", "count", what, poll, "alone", 1, key),
		get("counts", "count", what, poll, "alone", 1, "requests"), 4)
}

function count_target(what, poll, key, name, relation, limit) {
	target(title(what, poll) ": " name, per_request(what, poll, key),
		relation, limit)
}

function judge_direct(what) {
	count_target(what, 0, "hypercalls", "hypercalls", "=", 2)
	count_target(what, 0, "syscalls", "system calls", "=", 0)
	count_target(what, 0, "early_switches",
		"context switches before completion", "=", 0)
	count_target(what, 0, "wakeups", "wake-ups", "=", 0)
	count_target(what, 0, "allocs", "allocations", "=", 0)
}

function judge_counts(   i, what, poll) {
	judge_direct("kick")
	judge_direct("load")
	for (i = 1; i <= 2; i++)
		for (poll = 0; poll <= 1; poll++) {
			what = i == 1 ? "read" : "write"
			count_target(what, poll, "hypercalls", "hypercalls", "=", 2)
			count_target(what, poll, "syscalls", "system calls", "=", 1)
			count_target(what, poll, "wakeups", "wake-ups",
				"<=", poll ? 0 : 1)
			count_target(what, poll, "allocs", "allocations", "=", 0)
		}
	count_target("notify", 0, "hypercalls", "hypercalls", "=", 1)
	count_target("notify", 0, "switches", "context switches", "=", 0)
}

function alone(what, backends, key) {
	return get("counts", "time", what, 0, "alone", backends, key)
}

# By the mean, which a median could hide something from. One access at a time:
# more would measure how the host's interrupt controller copes with many.
function judge_scaling(   i, what) {
	split("kick load read write", subjects, " ")
	for (i = 1; i in subjects; i++) {
		what = subjects[i]
		target(what ": cost with 64 backends, to that with one",
			quotient(alone(what, 64, "mean"), alone(what, 1, "mean"), 3),
			"<=", 1.2)
		target(what ": hypercalls with 64 backends",
			quotient(alone(what, 64, "hypercalls"),
				alone(what, 64, "requests"), 4), "=", 2)
	}
}

# Tables
function count_row(what, poll) {
	printf "  %-18s %10s %12s %10s %10s %12s\n", title(what, poll),
		per_request(what, poll, "hypercalls"),
		per_request(what, poll, "syscalls"),
		per_request(what, poll, what ~ /kick|load/ ? "early_switches" : "switches"),
		per_request(what, poll, "wakeups"),
		per_request(what, poll, "allocs")
}

function count_table() {
	print "Per request, counted (context switches: of kick and load, those before" \
		" the"
	print "completion; of the others, those of the VMM's thread)"
	printf "  %-18s %10s %12s %10s %10s %12s\n", "", "hypercalls",
		"system calls", "switches", "wake-ups", "allocations"
	count_row("kick", 0)
	count_row("load", 0)
	count_row("read", 0); count_row("read", 1)
	count_row("write", 0); count_row("write", 1)
	count_row("notify", 0)
}

function cost(what, poll, backends,   key) {
	key = what == "floor-notify" ? "mean" : "p50"
	return get("counts", "time", what, poll, "alone", backends, key)
}

function cost_row(what, poll, floor) {
	printf "  %-18s %11s %9s %9s %13s %9s %9s\n", title(what, poll),
		cost(what, poll, 1),
		quotient(cost(what, poll, 1), cost(floor, 0, 1), 3),
		cost(what, poll, 1) == "" ? "-" : cost(what, poll, 1) - cost(floor, 0, 1),
		cost(what, poll, 64) == "" ? "-" : cost(what, poll, 64),
		quotient(cost(what, poll, 64), cost(floor, 0, 64), 3),
		quotient(cost(what, poll, 64), cost(what, poll, 1), 3)
}

function cost_table() {
	print ""
	print "A round trip in " (unit == "ns" ? "ns" : \
		"instructions of the whole machine, test bed included") " (median)"
	printf "  %-18s %11s %9s %9s %13s %9s %9s\n", "", "one backend",
		"x floor", "- floor", "64 backends", "x floor", "64 / one"
	cost_row("floor", 0, "floor")
	cost_row("kick", 0, "floor")
	cost_row("load", 0, "floor")
	cost_row("read", 0, "floor"); cost_row("read", 1, "floor")
	cost_row("write", 0, "floor"); cost_row("write", 1, "floor")
	cost_row("floor-notify", 0, "floor-notify")
	cost_row("notify", 0, "floor-notify")
}

function us(what, poll, backends, key) {
	return quotient(get("times", "time", what, poll, "alone", backends, key),
		1000, 0)
}

function rate(what, poll, backends) {
	return quotient(get("times", "time", what, poll, "full", backends,
			"requests"),
		get("times", "time", what, poll, "full", backends,
			"elapsed") / 1e9, 0)
}

function time_row(what, poll, backends) {
	if (!is_there("times", "time", what, poll, "alone", backends))
		return
	printf "  %-18s %8d %8s %8s %8s %8s %12s %8s\n", title(what, poll),
		backends, us(what, poll, backends, "p50"),
		us(what, poll, backends, "p99"), us(what, poll, backends, "max"),
		quotient(get("times", "time", what, poll, "alone", backends, "p50"),
			get("times", "time", "floor", 0, "alone", backends, "p50"), 2),
		rate(what, poll, backends),
		quotient(rate(what, poll, backends), rate("floor", 0, backends), 2)
}

function time_rows(what, poll,   i, n, sizes) {
	n = split("1 2 8 64", sizes, " ")
	for (i = 1; i <= n; i++)
		time_row(what, poll, sizes[i])
}

function time_table() {
	print ""
	print "A round trip in us, as the test bed times it, one at a time; and" \
		" requests per second"
	print "with a frontend vCPU for each backend that never pauses"
	printf "  %-18s %8s %8s %8s %8s %8s %12s %8s\n", "", "backends", "p50",
		"p99", "max", "x floor", "requests/s", "x floor"
	time_rows("floor", 0)
	time_rows("kick", 0)
	time_rows("load", 0)
	time_rows("read", 0); time_rows("read", 1)
	time_rows("write", 0); time_rows("write", 1)
	printf "  %-18s %8d %8s %8s %8s\n", "notify", 1, us("notify", 0, 1, "p50"),
		us("notify", 0, 1, "p99"), us("notify", 0, 1, "max")
}

function blk(where, op, depth, key) {
	return get("times", "blk", where, op, depth, 1, key)
}

function iops(where, op, depth) {
	return quotient(blk(where, op, depth, "operations"),
		blk(where, op, depth, "elapsed") / 1e9, 0)
}

function blk_row(op, depth) {
	printf "  %-5s %6d %14s %14s %8s %12s %12s\n", op, depth,
		iops("plain", op, depth), iops("pair", op, depth),
		quotient(iops("pair", op, depth), iops("plain", op, depth), 3),
		quotient(blk("plain", op, depth, "p50"), 1000, 0),
		quotient(blk("pair", op, depth, "p50"), 1000, 0)
}

function blk_table() {
	print ""
	print "virtio-blk, 4 KiB at random places of the same image: the emulator's" \
		" own device in"
	print "the machine that the test bed runs on, and the sample VMM's in a" \
		" frontend"
	printf "  %-5s %6s %14s %14s %8s %12s %12s\n", "", "depth",
		"emulator/s", "frontend/s", "ratio", "p50 us", "p50 us"
	blk_row("read", 1); blk_row("read", 32)
	blk_row("write", 1); blk_row("write", 32)
}

function target_table(   i) {
	print ""
	print "Targets"
	for (i = 1; i <= targets; i++)
		printf "  %-52s %8s  %-12s %s\n", target_name[i],
			target_value[i] == "-" ? "-" : target_value[i] + 0,
			target_limit[i], target_met[i] ? "met" : "NOT MET"
}

# JSON
function quoted(text) { return text ~ /^-?[0-9.]+$/ ? text : "\"" text "\"" }

function json_record(text,   n, word, i, pair, out) {
	n = split(text, word, " ")
	out = "\"run\": \"" word[1] "\", \"kind\": \"" word[2] "\""
	for (i = 3; i <= n; i++) {
		split(word[i], pair, "=")
		out = out ", \"" pair[1] "\": " quoted(pair[2])
	}
	return "    { " out " }"
}

function json_target(i) {
	return sprintf("    { \"name\": \"%s\", \"value\": %s, \"target\": \"%s\", \"met\": %s }",
		target_name[i], target_value[i] == "-" ? "null" : target_value[i] + 0,
		target_limit[i], target_met[i] ? "true" : "false")
}

function write_json(   i) {
	printf "{\n  \"unit_of_counts_run\": \"%s\",\n  \"unit_of_times_run\": \"ns\",\n",
		unit >json
	print "  \"records\": [" >json
	for (i = 1; i <= records; i++)
		print json_record(record[i]) (i < records ? "," : "") >json
	print "  ],\n  \"targets\": [" >json
	for (i = 1; i <= targets; i++)
		print json_target(i) (i < targets ? "," : "") >json
	print "  ],\n  \"result\": \"" (missed ? "FAIL" : "PASS") "\"\n}" >json
	close(json)
}

END {
	judge_counts()
	judge_scaling()
	count_table()
	cost_table()
	time_table()
	blk_table()
	target_table()
	if (json != "")
		write_json()
	exit missed > 0
}
