# programs with set-id bits, made, copied and run; the bits that a change of owner takes away
ARG BASE=debian
FROM $BASE
RUN useradd -u 1500 app && cp /usr/bin/id /usr/local/bin/id-root && chmod 4755 /usr/local/bin/id-root && \
    install -m 2755 -g adm /usr/bin/id /usr/local/bin/id-adm && install -m 6755 -o games -g games /usr/bin/id /usr/local/bin/id-games
RUN for program in root adm games; do su app -c "/usr/local/bin/id-$program"; done > /as-whom
USER app
RUN /usr/local/bin/id-root -u > /tmp/euid; cp /usr/local/bin/id-root /tmp/copied; cp -p /usr/local/bin/id-root /tmp/preserved; true
USER root
RUN cp /usr/local/bin/id-games /lost && chown app /lost && cp -p /usr/local/bin/id-games /again && chown app /again && \
    chmod u+s /again && mkdir -m 3777 /shared && mkdir /inherits && chown :adm /inherits && chmod g+s /inherits && \
    mkdir /inherits/folder && touch /inherits/file && chmod u+s,+t /inherits/file && chmod 7777 /inherits/folder
