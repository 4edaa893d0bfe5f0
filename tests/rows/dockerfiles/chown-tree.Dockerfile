# owners of whole trees, of directories of the base, of those who have an owner, and of links
ARG BASE=debian
FROM $BASE
RUN cp -r /etc/security /tree && ln -s /etc/passwd /tree/passwd && chown -R games:adm /tree && chown -R --from=games daemon /tree/limits.d
RUN chown -R 1000:1000 /usr/share/perl5 && chgrp -R staff /opt /usr/local && chmod -R g+w /usr/local && chmod -R o-rx /tree
RUN chown -h 1234:5678 /tree/passwd && chown 70000:60001 /tree/group.conf 2>/dev/null || echo refused > /refused
RUN chown root: /tree && chown :root /tree/namespace.conf && find /tree -type d -exec chmod 2750 {} +
