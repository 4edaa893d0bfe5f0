# install and cp -a: owners, modes and links as they were, from one place to another, and through a pipe of tars
ARG BASE=debian
FROM $BASE
RUN install -d -o games -g games -m 2775 /srv/games && install -o daemon -g adm -m 640 /etc/passwd /srv/games/list && \
    install -D -o 1234 -g 4321 -m 4711 /usr/bin/id /srv/deep/down/id
RUN ln -s list /srv/games/link && chown -h daemon:adm /srv/games/link && ln /srv/games/list /srv/games/again && mkfifo -m 600 /srv/games/fifo && \
    chown 5:60 /srv/games/fifo && cp -a /srv/games /srv/copied && cp -r /srv/games/list /srv/deep /tmp && cp -p /srv/deep/down/id /kept
RUN mkdir /piped && tar -C /srv -c . | tar -C /piped -xp && cp -a /etc/shadow /etc/skel /srv/ && mv /srv/deep /deep
