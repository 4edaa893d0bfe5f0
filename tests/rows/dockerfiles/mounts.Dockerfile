# each type of mount: what it shows, to whom it belongs, and that nothing of it stays
ARG BASE=debian
FROM $BASE AS other
RUN mkdir /given && echo other > /given/file && chown -R games:adm /given && chmod 2750 /given

FROM $BASE
RUN useradd -u 1500 app && mkdir /out && chmod 1777 /out && mkdir /existing && chown games /existing
RUN --mount=target=/context,type=bind --mount=from=other,source=/given,target=/existing,rw \
    stat -c '%n %a %u %g' /context/app /context/app/* /existing /existing/file > /out/bind && echo changed > /existing/new
RUN --mount=type=cache,target=/cache,uid=1500,gid=60,mode=0750,id=rows --mount=type=tmpfs,target=/scratch \
    stat -c '%n %a %u %g' /cache > /out/cache && stat -c '%n %u %g' /scratch >> /out/cache && touch /cache/file /scratch/file
USER app
RUN --mount=type=cache,target=/cache,uid=1500,gid=60,mode=0750,id=rows stat -c '%n %a %u %g' /cache /cache/file > /out/again && touch /cache/mine
RUN --mount=type=secret,id=token,uid=1500,mode=0400 --mount=type=secret,id=token,target=/etc/token,mode=0444 --mount=type=ssh \
    cat /run/secrets/token /etc/token > /out/secret && stat -c '%n %a %u %g' /run/secrets/token /etc/token > /out/secrets
