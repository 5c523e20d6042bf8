"""The files that the rules look at, as text in memory, so that tests can make up their own."""

import dataclasses
import os
import pathlib

SKIPPED_FOLDERS = {".git", "build", "odradek-data", "__pycache__", ".venv"}
TEXT_SUFFIXES = {".cc", ".h", ".inc", ".py", ".sh", ".md", ".cmake", ".txt", ".keys", ".schema", ".java", ".json"}


@dataclasses.dataclass
class Tree:
    texts: dict  # path from the root -> text
    paths: set  # of all files and folders, binary ones too

    @classmethod
    def read(cls, root):
        texts, paths = {}, set()
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(each for each in folders if each not in SKIPPED_FOLDERS and not each.startswith("build-"))
            for name in files + folders:
                path = pathlib.Path(folder, name)
                relative = path.relative_to(root).as_posix()
                paths.add(relative)
                if path.is_file() and (path.suffix in TEXT_SUFFIXES or relative == "dev"):
                    texts[relative] = path.read_text(errors="replace")
        return cls(texts, paths)

    @classmethod
    def of(cls, texts):
        """For tests: of these files, with their folders."""
        paths = set(texts)
        for path in texts:
            paths.update(parent.as_posix() for parent in pathlib.PurePosixPath(path).parents)
        return cls(dict(texts), paths)

    def cpp(self, under="src/"):
        return {path: text for path, text in self.texts.items() if path.startswith(under) and path.endswith((".cc", ".h"))}
