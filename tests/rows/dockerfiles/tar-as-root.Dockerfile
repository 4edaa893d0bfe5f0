# tar keeps owners, modes, hard links and symbolic links when root unpacks, by number and by name
ARG BASE=debian
FROM $BASE
RUN tar --numeric-owner -cf /names.tar --owner=games:5 --group=games:60 /etc/default && \
    tar --append -f /names.tar --owner=someone:4321 --group=else:8765 --mode=6755 /etc/issue && \
    mkdir /by-number /by-name && tar --numeric-owner -xpf /names.tar -C /by-number && tar -xpf /names.tar -C /by-name
COPY owned.tar /owned.tar
RUN mkdir /root-only /kept /safe && tar -xf /owned.tar -C /kept && tar --no-same-owner -xf /owned.tar -C /safe && \
    tar --no-same-permissions -xf /owned.tar -C /root-only
