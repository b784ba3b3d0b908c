//! What the guard and the actions say to readers, in their language.

use std::time::Duration;

use super::access::Refused;
use crate::language::Language;

/// What is said in one language.
pub(crate) struct Words {
    pub not_done: &'static str,
    pub old_form: &'static str,
    pub no_device: &'static str,
    pub no_job: &'static str,
    pub no_file: &'static str,
    pub too_many_jobs: &'static str,
    no_pin: &'static str,
    bad_pin: &'static str,
    wrong: &'static str,
    /// Before and after the time.
    wait: [&'static str; 2],
    minutes: &'static str,
    seconds: &'static str,
    pub maintenance_minutes: &'static str,
    pub maintenance_note_long: &'static str,
    pub maintenance_note_card: &'static str,
    pub maintenance_not_kept: &'static str,
}

const EN: Words = Words {
    not_done: "Not done",
    old_form: "This form is from an earlier session. Open the page again and repeat it.",
    no_device: "There is no such device in the configuration.",
    no_job: "This is no longer known; it was too long ago.",
    no_file: "There is no file here any more. Make the support bundle again.",
    too_many_jobs: "Several things are being done already. Wait until one of them has ended.",
    no_pin: "No PIN is configured, so this page only shows. Set local.pin_file in agent.yaml.",
    bad_pin: "Nobody can sign in until the PIN file is corrected:",
    wrong: "This is not the PIN.",
    wait: ["Too many wrong PINs. Try again in", "; until then not even the right one is taken."],
    minutes: "min",
    seconds: "s",
    maintenance_minutes: "Maintenance lasts 5 to 480 minutes.",
    maintenance_note_long: "The note may have 200 characters.",
    maintenance_note_card: "The note holds what looks like a card number. Leave it out.",
    maintenance_not_kept: "It could not be stored. Look at the disk of this box, then repeat it.",
};

const ES: Words = Words {
    not_done: "No se hizo",
    old_form: "Este formulario es de una sesión anterior. Abra la página de nuevo y repítalo.",
    no_device: "No hay tal dispositivo en la configuración.",
    no_job: "Esto ya no se conoce; fue hace demasiado tiempo.",
    no_file: "Aquí ya no hay ningún archivo. Genere de nuevo el paquete de soporte.",
    too_many_jobs: "Ya hay varias tareas en curso. Espere a que termine una de ellas.",
    no_pin: "No hay un PIN configurado, así que esta página solo muestra. Configure local.pin_file en agent.yaml.",
    bad_pin: "Nadie puede entrar hasta que se corrija el archivo del PIN:",
    wrong: "Este no es el PIN.",
    wait: ["Demasiados PIN equivocados. Pruebe de nuevo en", "; hasta entonces no se acepta ni el correcto."],
    minutes: "min",
    seconds: "s",
    maintenance_minutes: "El mantenimiento dura de 5 a 480 minutos.",
    maintenance_note_long: "La nota puede tener 200 caracteres.",
    maintenance_note_card: "La nota contiene algo que parece un número de tarjeta. Quítelo.",
    maintenance_not_kept: "No se pudo guardar. Revise el disco de este equipo y repítalo.",
};

const PT: Words = Words {
    not_done: "Não foi feito",
    old_form: "Este formulário é de uma sessão anterior. Abra a página de novo e repita.",
    no_device: "Não existe tal dispositivo na configuração.",
    no_job: "Isto já não é conhecido; foi há tempo demais.",
    no_file: "Já não há arquivo aqui. Gere de novo o pacote de suporte.",
    too_many_jobs: "Já há várias tarefas em andamento. Espere até que uma delas termine.",
    no_pin: "Não há PIN configurado, por isso esta página só mostra. Configure local.pin_file em agent.yaml.",
    bad_pin: "Ninguém pode entrar até que o arquivo do PIN seja corrigido:",
    wrong: "Este não é o PIN.",
    wait: ["PINs errados demais. Tente de novo em", "; até lá nem o certo é aceito."],
    minutes: "min",
    seconds: "s",
    maintenance_minutes: "A manutenção dura de 5 a 480 minutos.",
    maintenance_note_long: "A nota pode ter 200 caracteres.",
    maintenance_note_card: "A nota contém algo que parece um número de cartão. Retire-o.",
    maintenance_not_kept: "Não foi possível guardar. Verifique o disco desta caixa e repita.",
};

impl Words {
    pub(crate) const fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &EN,
            Language::Es => &ES,
            Language::Pt => &PT,
        }
    }

    /// Why somebody is not let in, and what to do.
    pub(crate) fn refused(&self, why: &Refused) -> String {
        match why {
            Refused::NoPin => self.no_pin.to_owned(),
            Refused::BadPin(why) => format!("{} {why}", self.bad_pin),
            Refused::Wrong => self.wrong.to_owned(),
            Refused::Wait(wait) => format!("{} {}{}", self.wait[0], self.time(*wait), self.wait[1]),
        }
    }

    /// A time in seconds up to two minutes, in minutes from there; never shorter than it is.
    fn time(&self, time: Duration) -> String {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        if seconds <= 120 {
            format!("{seconds} {}", self.seconds)
        } else {
            format!("{} {}", seconds.div_ceil(60), self.minutes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_told_in_every_language() {
        for (language, seconds, text) in [
            (Language::En, 30, "in 30 s; until"),
            (Language::Es, 121, "en 3 min; hasta"),
            (Language::Pt, 3_600, "em 60 min; até"),
        ] {
            let said = Words::of(language).refused(&Refused::Wait(Duration::from_secs(seconds)));
            assert!(said.contains(text), "{said}");
        }
    }
}
