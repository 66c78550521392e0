"""``sitewatch-update bundle``: makes a ``model.zip``, and looks into one or an unpacked one."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from updater import bundle as bundles
from updater.archive import open_archive
from updater.bundle import CreatedBundle
from updater.commands.common import Run, add_command, print_json, printable
from updater.commands.context import Context
from updater.errors import TrustError, UsageError
from updater.manifest import Manifest
from updater.trust import keys
from updater.trust.examination import Examined, examine, examine_folder
from updater.trust.keys import KeyRing
from updater.trust.rules import Signer

log = logging.getLogger(__name__)

EPILOG = """\
examples:
  sitewatch-update bundle create work/bundle model.zip --version 2026.12.1 --key release.key
  sitewatch-update bundle verify model.zip --keys /etc/sitewatch/keys
  sitewatch-update bundle show packaging/model

exit codes: 0 done, 2 wrong arguments, 3 a key, 4 the bundle is damaged or not understood, 8 disk,
10 not vouched for by a key of this device
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "bundle",
        help="make, show or verify a model bundle",
        description="Makes a model.zip, or looks into one or an unpacked one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_create(actions)
    for name, text, run in (
        ("show", "check it and print what it is; who signed it is said, and decides nothing", show),
        ("verify", "check who signed it, and every file's size and hash", verify),
    ):
        action = _add_action(actions, name, run, text)
        action.add_argument(
            "bundle", action=_BundleAction, metavar="BUNDLE", help="model.zip, or a folder"
        )
        if run is verify:
            action.add_argument(
                "--unsigned", action="store_true", help="accept a bundle without a signature"
            )


def create(arguments: argparse.Namespace, context: Context) -> int:
    """Makes a ``model.zip``."""
    if arguments.key is None and not arguments.unsigned:
        raise UsageError(
            "a bundle is signed with --key KEYFILE",
            where="--key",
            hint="--unsigned makes one that devices refuse unless they are told otherwise",
        )
    key = None if arguments.key is None else keys.load_private(arguments.key)
    made = bundles.create(arguments.folder, arguments.out, version=arguments.to_version, key=key)
    if made.key_id is None:
        log.warning("warning: %s is NOT SIGNED, and devices refuse it by default", made.path)
    if context.as_json:
        print_json(_as_json(made))
    else:
        signer = f"signed by key {made.key_id}" if made.key_id else "not signed"
        print(f"{made.path}: {made.manifest.version}, {made.size_bytes} bytes, {signer}")
        print(f"sha256 {made.sha256}")
    return 0


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Prints what a bundle is."""
    ring = context.ring
    try:
        examined = _examined(arguments, context, ring, require_signature=False)
        signed = signature_text(examined.signer)
    except TrustError as error:
        # The reason is shown in the signature's place: this command decides nothing.
        examined = _examined(arguments, context, None, require_signature=False)
        signed = f"not to be trusted: {error.what}"
    if context.as_json:
        print_json(
            {
                "version": examined.manifest.version,
                "name": examined.manifest.name,
                "digest": examined.digest,
                "classes": list(examined.manifest.classes),
                "signature": signed,
                "key": examined.signer.key_id if examined.signer else None,
                "metrics": dict(examined.manifest.metrics),
                "provenance": dict(examined.manifest.provenance),
            }
        )
    else:
        for line in summary(examined, signed):
            print(printable(line))
    return 0


def verify(arguments: argparse.Namespace, context: Context) -> int:
    """Checks a bundle as an installation would, up to the rules about this device."""
    ring = context.ring
    required = context.settings.require_signature and not arguments.unsigned
    if ring.keys:
        examined = _examined(arguments, context, ring, require_signature=required)
        signed = signature_text(examined.signer)
    else:
        # Where no keys are there is nobody to ask; the rest can still be checked, and it is said.
        examined = _examined(arguments, context, None, require_signature=False)
        signed = f"WHO SIGNED IT WAS NOT CHECKED: no keys in {ring.where}"
        log.warning("warning: there are no keys in %s", ring.where)
    if context.as_json:
        print_json(
            {
                "version": examined.manifest.version,
                "digest": examined.digest,
                "complete": True,
                "key": examined.signer.key_id if examined.signer else None,
            }
        )
    else:
        print(printable(f"{arguments.bundle}: {examined.manifest.version} complete, {signed}"))
    return 0


def summary(examined: Examined, signed: str) -> list[str]:
    """A bundle in a few lines, for people.

    Args:
        examined: the bundle.
        signed: who vouches for it, in words.
    """
    manifest = examined.manifest
    lines = [
        f"{manifest.name} {manifest.version}",
        f"digest      {examined.digest}",
        f"signature   {signed}",
        f"classes     {', '.join(manifest.classes)}",
        f"input       {manifest.input.width}x{manifest.input.height} {manifest.input.layout}",
        f"output      {manifest.output.layout}",
        f"thresholds  score {manifest.thresholds.score:g}, IoU {manifest.thresholds.iou:g}",
        f"golden      {len(manifest.golden)} pictures",
        f"probation   {manifest.probation.seconds:g} s and {manifest.probation.frames} frames",
        f"devices     {', '.join(manifest.device_classes) or 'all'}",
        f"needs       Sitewatch {manifest.minimum_daemon} or newer",
    ]
    lines += [f"metric      {name} = {value:g}" for name, value in manifest.metrics.items()]
    lines += [f"{name:<11} {text}" for name, text in manifest.provenance.items()]
    lines += [f"file        {entry.path}  {entry.size_bytes} bytes" for entry in manifest.files]
    return lines


def signature_text(signer: Signer | None) -> str:
    """Who vouches for a bundle, in words."""
    if signer is None:
        return "not signed"
    return f"signed by key {signer.key_id}" + (f" ({signer.comment})" if signer.comment else "")


def _examined(
    arguments: argparse.Namespace,
    context: Context,
    ring: KeyRing | None,
    *,
    require_signature: bool,
) -> Examined:
    """A bundle whose files are all as its manifest says; ``ring`` None: nobody is asked."""
    if (file := context.opened.get("bundle")) is None:
        return examine_folder(arguments.bundle, ring, require_signature=require_signature)
    archive = open_archive(file, where=str(arguments.bundle))
    examined = examine(archive, ring, require_signature=require_signature)
    archive.verify(examined.manifest.files)
    return examined


def _as_json(made: CreatedBundle) -> dict[str, Any]:
    manifest: Manifest = made.manifest
    return {
        "path": str(made.path),
        "version": manifest.version,
        "digest": made.digest,
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "key": made.key_id,
    }


def _add_create(actions: Any) -> None:
    action = _add_action(
        actions,
        "create",
        create,
        "make a model.zip from a folder with model.tflite, golden/, MODEL_CARD.md and a "
        "manifest.json as template",
    )
    action.add_argument("folder", type=Path, metavar="DIR", help="the folder; it stays as it is")
    action.add_argument("out", type=Path, metavar="OUT.zip", help="replaced if it is there")
    action.add_argument(
        "--version", dest="to_version", required=True, metavar="V", help="of the bundle"
    )
    signing = action.add_mutually_exclusive_group()
    signing.add_argument("--key", type=Path, metavar="KEYFILE", help="private key that signs it")
    signing.add_argument("--unsigned", action="store_true", help="do not sign it")
    # It reads its caller's own files and key, and writes where the caller may.
    action.set_defaults(keeps_rights=True)


def _add_action(actions: Any, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    return add_command(
        actions,
        name,
        run,
        text=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=EPILOG,
    )


class _BundleAction(argparse.Action):
    """Takes a bundle: an archive is opened before rights are given up, a folder is read after."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        # Absolute: giving up rights changes the working directory.
        path = Path(values).absolute()
        setattr(namespace, self.dest, path)
        namespace.inputs = () if path.is_dir() else (self.dest,)
        namespace.needs_store = False
        namespace.needs_keys = True
