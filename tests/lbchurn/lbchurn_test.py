# SPDX-License-Identifier: Apache-2.0
"""What lbchurn finds about Weir's tables and about settled rows, at a small scale; its options, output and exit codes.
LBCHURN names the program."""
import json
import os
import subprocess

import pytest

LBCHURN = os.path.abspath(os.environ["LBCHURN"])


def lbchurn(*arguments):
    return subprocess.run([LBCHURN, *arguments], capture_output=True, text=True, timeout=50)


def figures(*arguments):
    done = lbchurn(*arguments, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def schemes(*arguments, duration=900):
    found = figures("flows", "--duration", str(duration), "--rate", "200", *arguments)
    return {scheme["scheme"]: scheme for scheme in found["schemes"]}


@pytest.fixture(scope="module")
def thousand():
    found = figures("table", "--members", "1000", "--rows", "65536", "--trials", "3")
    return {table["algorithm"]: table for table in found["tables"]}


@pytest.fixture(scope="module")
def churn():
    return schemes("--settle", "300", "--silence", "250", duration=1800)


def test_a_thousand_backends_have_65_or_66_rows_each(thousand):
    assert thousand["race"]["max_over_average"] == pytest.approx(66 / 65.536)
    assert thousand["rendezvous"]["max_over_average"] > 1.2  # the figure can tell


def test_the_race_moves_half_of_the_rows_that_maglev_moves(thousand):
    for change in "removing", "adding", "halving":
        assert thousand["race"][f"moved_by_{change}"] * 2 < thousand["maglev"][f"moved_by_{change}"], change
    assert thousand["race"]["moved_by_removing"] <= 4


def test_rows_moved_are_measured_in_units_of_the_fewest(thousand):
    assert thousand["rendezvous"]["moved_by_removing"] == 1
    assert thousand["modulo"]["moved_by_removing"] > 900


def test_without_memory_changes_break_flows(churn):
    assert churn["stateless"]["broken"] > 0
    assert churn["stateless"]["lookups"] == churn["stateless"]["entries_max"] == 0


def test_settled_rows_break_no_flow(churn):
    assert churn["settled rows"]["broken"] == churn["full tracking"]["broken"] == 0


def test_settled_rows_need_a_tenth_of_the_entries_and_look_ups_with_a_window_of_ten_changes(churn):
    assert 0 < churn["settled rows"]["entries_mean"] * 10 <= churn["full tracking"]["entries_mean"]
    assert 0 < churn["settled rows"]["lookups"] * 10 <= churn["full tracking"]["lookups"]


def test_a_flow_that_is_silent_for_the_whole_settle_window_is_picked_anew():
    found = schemes("--settle", "20", "--pause", "60", "--sweep", "5")
    assert found["settled rows"]["broken"] > 0
    assert found["full tracking"]["broken"] == 0


def test_a_flow_table_that_is_too_small_breaks_fewer_flows_with_settled_rows_than_with_full_tracking():
    found = schemes("--entries", "2048", "--settle", "300", "--silence", "250")
    assert found["full tracking"]["broken"] > 4 * found["settled rows"]["broken"]
    assert found["full tracking"]["evicted"] > 0


def test_without_changes_nothing_breaks_and_settled_rows_remember_nothing():
    found = schemes("--change", "0", duration=60)
    assert [scheme["broken"] for scheme in found.values()] == [0, 0, 0]
    assert found["settled rows"]["lookups"] == 0


def test_a_seed_replays():
    run = ["flows", "--duration", "120", "--rate", "100", "--seed"]
    first = lbchurn(*run, "7").stdout
    assert first == lbchurn(*run, "7").stdout
    assert first.startswith("seed 7,")
    assert first != lbchurn(*run, "8").stdout


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["table", "--rows", "1000"], "--rows 1000: a table has 2^8 to 2^20 rows, a power of two"),
        (["table", "--members", "1"], "--members 1: give 2 or more, one is removed"),
        (["table", "--algorithm", "jump"], "--algorithm jump: unknown; see lbchurn table --help"),
        (["flows", "--backends", "1"], "--backends 1: give 2 to 1000"),
        (["flows", "--tail", "0"], "--tail 0: give more than 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_a_reason(arguments, says):
    done = lbchurn(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"lbchurn: {says}\n")


def test_usage_errors_exit_with_2():
    assert lbchurn().returncode == lbchurn("flows", "--nothing").returncode == 2
