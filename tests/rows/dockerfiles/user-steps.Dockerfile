# steps of other users, by name and number, in directories that WORKDIR makes
ARG BASE=debian
FROM $BASE
RUN groupadd -g 3000 team && useradd -m -u 1500 -g team -G games app && mkdir -m 1777 /shared && install -d -o app /of-app
USER app
WORKDIR /of-app/made/by/workdir
RUN id > /shared/app && mkdir /shared/folder && touch /of-app/file && (touch "$PWD/denied" 2>/dev/null || echo denied > /of-app/denied)
USER app:adm
RUN umask 007 && touch /shared/of-adm && mkdir /of-app/of-adm
USER 4242:4343
WORKDIR relative
RUN touch /shared/of-number && id >> /shared/of-number && ln -s nowhere /shared/link && mkfifo /shared/fifo
USER 4244
RUN id > /shared/of-number-alone
USER root
RUN id > /shared/of-root
