"""Small files of text and of JSON."""

import json


def write(name, content):
    with open(name, "w") as file:
        json.dump(content, file) if not isinstance(content, str) else file.write(content)
    return name
