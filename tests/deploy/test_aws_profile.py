"""deploy/aws-profile.yaml, by AWS's own checker of templates, which knows every resource."""

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from tests.deploy.deployed import DEPLOY

TEMPLATE = (DEPLOY / "aws-profile.yaml").read_text("utf-8")
CHECKS = ManualArgs(regions=["us-east-1", "eu-central-1"], include_checks=["I"])


def said_of(template: str) -> list[str]:
    return [f"{found.rule.id} {found.message}" for found in lint(template, config=CHECKS)]


def test_the_template_is_accepted() -> None:
    assert said_of(TEMPLATE) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Roles: [!Ref WorkerRole]", "Role: [!Ref WorkerRole]"),
        ("AWS::IAM::InstanceProfile", "AWS::IAM::Profile"),
        ("!GetAtt WorkerRole.Arn", "!GetAtt WorkersRole.Arn"),
        ("Effect: Allow", "Effect: Allowed"),
        (
            "!Sub arn:${AWS::Partition}:s3:::${Bucket}/*",
            "!Sub arn:${AWS::Partition}:s3:::${Buckets}/*",
        ),
        ("ec2:RunInstances", "ec2:RunInstance"),
        ("ManagedPolicyArns: [!Ref Storage]", "ManagedPolicies: [!Ref Storage]"),
    ],
)
def test_an_error_is_found(right: str, wrong: str) -> None:
    assert right in TEMPLATE
    assert said_of(TEMPLATE.replace(right, wrong, 1))


def test_the_command_in_it_names_it_and_its_right() -> None:
    assert "--template-file deploy/aws-profile.yaml" in TEMPLATE
    assert "CAPABILITY_NAMED_IAM" in TEMPLATE
