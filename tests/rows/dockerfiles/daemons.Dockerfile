# packages whose scripts make users, groups, and directories of theirs; one has a setgid program
ARG BASE=debian
FROM $BASE
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends redis-server openssh-server
RUN getent passwd redis sshd && chown redis:redis /etc/redis/redis.conf && apt-get clean
