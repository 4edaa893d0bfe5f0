# names of one file: made in one step, added to, removed and written through in a later one
ARG BASE=debian
FROM $BASE
RUN mkdir /a /b && echo one > /a/first && ln /a/first /a/second && ln /a/first /b/third && ln -s target /a/link && \
    ln -P /a/link /b/link && mkfifo /a/fifo && ln /a/fifo /b/fifo && echo kept > /a/kept && ln /a/kept /b/kept && \
    echo pair > /a/pair && ln /a/pair /b/pair && echo apart > /a/apart && ln /a/apart /b/apart
RUN rm /a/second && ln /a/kept /b/more && chown games /a/pair /b/pair
RUN cp --remove-destination /a/apart /b/apart.new && mv /b/apart.new /b/apart && mv /b/third /b/moved
RUN echo one > /first && ln /first /second && echo one > /third && ln /third /fourth
RUN echo two >> /first && chmod 600 /third
