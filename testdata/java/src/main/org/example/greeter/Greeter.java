package org.example.greeter;

import org.example.greetings.Greetings;

/** What is answered. */
final class Greeter {
    private Greeter() {}

    static String answer(String language) {
        var version = Greeter.class.getPackage().getImplementationVersion();
        var user = System.getProperty("user.name");
        return String.format(
                "{\"version\": \"%s\", \"user\": \"%s\", \"greeting\": \"%s\"}", version, user, Greetings.in(language));
    }
}
