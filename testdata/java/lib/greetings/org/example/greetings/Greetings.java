package org.example.greetings;

import java.util.Map;

/** How one says hello. */
public final class Greetings {
    private static final Map<String, String> WORDS =
            Map.of("en", "Hello", "de", "Guten Tag", "fr", "Bonjour", "eo", "Saluton");

    private Greetings() {}

    /** Returns the greeting in a language, in English where the language is not known. */
    public static String in(String language) {
        return WORDS.getOrDefault(language, WORDS.get("en"));
    }
}
