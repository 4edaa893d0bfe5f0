"""The service, without a server."""

import io
import json
import unittest

from wordcount.__main__ import answer


class Answer(unittest.TestCase):
    """What is sent back."""

    def test_words_are_counted_in_any_case(self) -> None:
        """Upper and lower case are the same word."""
        body = b"To be, or not to be"
        environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        (sent,) = answer(environ, lambda _status, _headers: None)
        self.assertEqual(json.loads(sent)["words"], {"to": 2, "be": 2, "or": 1, "not": 1})


if __name__ == "__main__":
    unittest.main()
