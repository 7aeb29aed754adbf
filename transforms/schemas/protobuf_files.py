"""Reads schemas of Protobuf: .proto files, which protoc compiles, or descriptor sets."""

import base64
import binascii
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message import DecodeError

_PROTOC_TIMEOUT_S = 60


def read_descriptors(path: str) -> FileDescriptorSet:
    """The descriptor set that `protoc --include_imports --descriptor_set_out=PATH` has written.

    Raises:
        ValueError: the file is not a descriptor set.
        OSError: the file cannot be read.
    """
    try:
        found = FileDescriptorSet.FromString(Path(path).read_bytes())
    except DecodeError as error:
        raise ValueError(
            f"descriptor={path} is not a descriptor set ({error}): make it with protoc "
            "--include_imports --descriptor_set_out=PATH, or give the .proto file as proto=PATH"
        ) from None
    if not found.file:
        raise ValueError(f"descriptor={path} holds no schema")
    return found


def compile_file(path: str, include: Sequence[str] = ()) -> FileDescriptorSet:
    """The descriptor set of a .proto file and all that it imports.

    Args:
        path: the file.
        include: folders in which imports are looked for, besides the file's own.

    Raises:
        ValueError: protoc refuses the file; the message is protoc's.
        ImportError: protoc is missing.
        OSError: the file cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"proto={path}: there is no such file")
    return _compile(file, [str(file.parent), *include], f"proto={path}")


def registered_schema(name: str, text: str, references: Mapping[str, str]) -> FileDescriptorSet:
    """The descriptor set of a registry's schema.

    Confluent's client for Java registers the text of a .proto file, the one for Python the base64
    of a descriptor.

    Args:
        name: what errors call the schema.
        text: the definition.
        references: the definitions that it imports, by the name in the import.

    Raises:
        ValueError: the text is not such a definition, or protoc refuses it with this message.
        ImportError: protoc is missing.
    """
    descriptor = _from_base64(text, "schema.proto")
    if descriptor is None:
        return _compile_text(name, text, references)
    files: list[FileDescriptorProto] = []
    for each, definition in references.items():
        imported = _from_base64(definition, each)
        files += [imported] if imported else _compile_text(each, definition, {}, each).file
    return FileDescriptorSet(file=[*files, descriptor])


def _from_base64(text: str, name: str) -> FileDescriptorProto | None:
    try:
        found = FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError):
        return None
    found.name = name
    return found


def _compile_text(
    name: str, text: str, references: Mapping[str, str], file_name: str = "schema.proto"
) -> FileDescriptorSet:
    with tempfile.TemporaryDirectory() as folder:
        for each, definition in references.items():
            _place(folder, each).write_text(definition, encoding="utf-8")
        file = _place(folder, file_name)
        file.write_text(text, encoding="utf-8")
        return _compile(file, [folder], name)


def _place(folder: str, name: str) -> Path:
    path = Path(folder, name).resolve()
    if not path.is_relative_to(Path(folder).resolve()):
        raise ValueError(f"a schema imports {name!r}, which is not a relative path")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _compile(file: Path, include: Sequence[str], name: str) -> FileDescriptorSet:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "descriptors")
        command = [sys.executable, "-P", "-m", "grpc_tools.protoc", "--include_imports"]
        command += [f"-I{each}" for each in include]
        command += [f"--descriptor_set_out={output}", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROTOC_TIMEOUT_S, check=False
        )
        if "No module named" in done.stderr:
            raise ImportError(
                f"{name}: protoc is missing: install it with: pip install "
                "'chronon-beam[protobuf]', or give a compiled descriptor set as descriptor=PATH"
            )
        if done.returncode:
            raise ValueError(f"{name}: protoc refuses the schema: {' '.join(done.stderr.split())}")
        return FileDescriptorSet.FromString(output.read_bytes())


class ProtobufSchema:
    """The messages of a descriptor set.

    Raises:
        ValueError: the set lacks a file that another one imports.
    """

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        self._pool = DescriptorPool()
        self._files = {file.name: file for file in descriptors.file}
        self._main = descriptors.file[-1].name  # protoc writes imports first
        for name in self._files:
            self._add(name, self._main)

    def message(self, name: str | None) -> Descriptor:
        """The message with that full name; without a name, the only message of the main file.

        Raises:
            ValueError: the schema has no such message, or several and no name is given.
        """
        names = self.names()
        if name is None:
            if len(self._files[self._main].message_type) != 1:
                raise ValueError(f"which message is read? Give message=, one of {', '.join(names)}")
            name = names[0]
        try:
            return self._pool.FindMessageTypeByName(name)
        except KeyError:
            raise ValueError(
                f"message={name}: the schema has no such message, it has {', '.join(names)}"
            ) from None

    def names(self) -> list[str]:
        """Full names of the messages of the main file; a message comes before those inside it."""
        found = self._pool.FindFileByName(self._main).message_types_by_name.values()
        return [name for message in found for name in _names(message)]

    def at(self, indexes: Sequence[int]) -> str:
        """The full name of the message that message indexes stand for (see `split_indexes`).

        Raises:
            ValueError: the schema has no message at these indexes.
        """
        messages = list(self._pool.FindFileByName(self._main).message_types_by_name.values())
        found: Descriptor | None = None
        for index in indexes:
            if not 0 <= index < len(messages):
                raise ValueError(f"the schema has no message at the indexes {list(indexes)}")
            found = messages[index]
            messages = list(found.nested_types)
        assert found is not None
        return found.full_name

    def _add(self, name: str, importer: str) -> None:
        """Add a file to the pool, after those that it imports."""
        if self._is_added(name):
            return
        file = self._files.get(name) or _well_known(name, importer)
        for imported in file.dependency:
            self._add(imported, name)
        self._pool.Add(file)

    def _is_added(self, name: str) -> bool:
        try:
            self._pool.FindFileByName(name)
        except KeyError:
            return False
        return True


def _names(message: Descriptor) -> list[str]:
    return [
        message.full_name,
        *(
            name
            for each in message.nested_types
            if not each.GetOptions().map_entry
            for name in _names(each)
        ),
    ]


def _well_known(name: str, importer: str) -> FileDescriptorProto:
    """A file that comes with the library, such as google/protobuf/timestamp.proto."""
    try:
        found = Default().FindFileByName(name)
    except KeyError:
        raise ValueError(
            f"{importer} imports {name}, which the descriptor set lacks: make it with protoc "
            "--include_imports"
        ) from None
    return FileDescriptorProto.FromString(found.serialized_pb)
