# an environment of Python's, of root and of another user
ARG BASE=debian
FROM $BASE
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv && apt-get clean
RUN python3 -m venv /opt/venv && /opt/venv/bin/python -c 'import sys; print(sys.prefix)' > /prefix
RUN useradd -m app
USER app
RUN python3 -m venv --without-pip --copies ~app/venv && ~app/venv/bin/python -c 'import os; os.mkdir("/tmp/made", 0o700)'
