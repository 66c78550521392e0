from __future__ import annotations

import json

import pytest

from updater.errors import UsageError
from updater.upload.names import PREFIX_MAX_CHARACTERS, Destination
from updater.upload.policy import PARTITIONS, POLICY_MAX_CHARACTERS, session_policy


def test_one_action_on_one_devices_folder() -> None:
    assert json.loads(session_policy(Destination("pictures", "site-7/gate", "cam-1"))) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::pictures/site-7/gate/cam-1/*",
            }
        ],
    }


def test_create_only_asks_for_the_header_too() -> None:
    policy = session_policy(Destination("pictures", "p", "cam-1"), create_only=True)
    (statement,) = json.loads(policy)["Statement"]
    assert statement["Condition"] == {"Null": {"s3:if-none-match": "false"}}


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_longest_fits_sts(partition: str) -> None:
    longest = Destination("b" * 63, "p" * PREFIX_MAX_CHARACTERS, "d" * 64)
    policy = session_policy(longest, create_only=True, partition=partition)
    assert len(policy) <= POLICY_MAX_CHARACTERS
    assert policy.isascii()


def test_nothing_in_a_name_widens_it() -> None:
    # What would is refused by Destination; this holds that nothing else stands before the star.
    (statement,) = json.loads(session_policy(Destination("a.b-c", "x=1/_y", "D.1")))["Statement"]
    assert statement["Resource"].count("*") == 1
    assert statement["Resource"].endswith("/*")
    assert not {"?", "$"} & set(statement["Resource"])


def test_without_a_device_it_would_be_everybodys() -> None:
    with pytest.raises(UsageError, match="a policy is for one device"):
        session_policy(Destination("pictures", "p"))


def test_an_unknown_partition() -> None:
    with pytest.raises(UsageError, match="'aws-moon' is not one of aws, aws-cn, aws-us-gov"):
        session_policy(Destination("pictures", "p", "cam-1"), partition="aws-moon")
