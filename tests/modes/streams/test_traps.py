"""The ways in which streams lose or repeat messages without a word, and the test by which each is impossible here, or refused."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

TRAPS = {
    "a durable consumer redelivers what came before behind what came later, and the position has moved on": (
        "sources/jetstream/test_jetstream.py::test_what_was_fetched_and_not_saved_is_read_again_first"
    ),
    "a stream that forgets what was acknowledged": (
        "sources/jetstream/test_jetstream.py::test_a_stream_that_forgets_what_was_acknowledged_is_refused"
    ),
    "ParallelizationFactor above 1: the slower lane's records lie before the position": (
        "sources/kinesis/test_event.py::test_lanes_of_one_shard_are_refused"
    ),
    "the same, before the first lane has stored anything": (
        "sources/kinesis/test_event.py::test_lanes_are_refused_while_the_first_one_is_not_stored_yet"
    ),
    "chunks pushed to a worker that restarts: later ones come before the one that is tried again": (
        "sources/streams/test_part.py::test_killed_workers_begin_again_after_their_own_position"
    ),
    "the same, with Ray": "examples/test_stream_examples.py::test_ray_works_on_all_parts_though_each_dies_once",
    "an iterable is pushed, and has no position to begin at": (
        "sources/streams/test_part.py::test_what_cannot_be_read_again_is_refused"
    ),
    "a worker that was overtaken sets good messages aside": (
        "modes/streams/test_fates.py::test_a_zombie_shows_update_nothing_that_is_ahead"
    ),
    "the same, on models that are in memory": (
        "modes/streams/test_fates.py::test_who_stood_still_looks_at_the_claims_before_it_goes_on"
    ),
    "the same, of a real Kafka": (
        "sources/streams/kafka/test_kafka_processes.py::test_a_worker_that_wakes_after_its_successor_has_saved_is_fenced"
    ),
    "the same, of one source read by two processes": "crash/test_claims.py::test_a_zombie_wakes_after_its_successor_has_saved",
    "a watch that hears nothing after its server has restarted": "values/test_values.py::test_a_restart_of_the_server_is_noticed_and_survived",
    "positions of all workers in one record, so that each save conflicts": (
        "modes/test_position_records.py::test_workers_over_different_sources_have_no_conflict"
    ),
    "a save whose position has not moved is without the fence": (
        "modes/test_position_records.py::test_a_save_without_a_new_position_is_fenced_too"
    ),
    "None of an idle source is a poll": "sources/streams/test_part.py::test_idle_streams_and_long_gaps_let_the_reader_look_up",
    "timeout= is of a whole batch, and a stream has none": "modes/streams/test_streams.py::test_what_does_not_fit_a_stream_is_refused",
    "a record that cannot be decoded is raised by the source, and on_error never hears of it": (
        "modes/streams/test_fates.py::test_a_record_that_is_no_message_goes_to_on_error"
    ),
    "commands of one partition hold the others": (
        "modes/streams/test_streams.py::test_commands_of_one_partition_do_not_hold_the_others"
    ),
    "the offset is gone, and the client jumps": "sources/streams/kafka/test_kafka.py::test_records_that_were_deleted_unread_are_a_gap",
    "the topic was made anew under the same name": (
        "sources/streams/kafka/test_kafka.py::test_a_topic_that_is_made_anew_while_it_is_read_is_not_read_on"
    ),
    "children of a shard before their parents": (
        "sources/kinesis/test_kinesis.py::test_children_are_read_after_the_ends_of_their_parents_are_stored"
    ),
    "kills, stops, splits and merges": (
        "sources/kinesis/test_kinesis_kills.py::test_every_key_is_exact_after_splits_merges_kills_and_stops"
    ),
    "answers to Lambda that are lost, and poison": "sources/kinesis/test_event.py::test_a_shard_with_lost_answers_and_poison_is_exact",
    "four shards in one store": "sources/kinesis/test_event.py::test_four_shards_at_once_in_one_store",
    "a zombie's late copy wins over its successor's": "modes/streams/test_copied.py::test_a_late_copy_of_a_zombie_does_not_win",
    "a copy that was cut short is taken": "modes/streams/test_copied.py::test_a_damaged_copy_is_passed_over",
    "state that is read on from a copy, of a program whose commands bring messages": (
        "modes/streams/test_copied.py::test_commands_that_bring_messages_are_refused"
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_has_its_test(trap: str) -> None:
    """The test is there, and runs: none of them is skipped."""
    path, _, name = TRAPS[trap].partition("::")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name: node for node in ast.walk(ast.parse((TESTS / path).read_text())) if isinstance(node, functions)}
    assert "skip" not in " ".join(map(ast.unparse, found[name].decorator_list))
